"""Fast code; each function has a plain ``reference_`` twin."""
