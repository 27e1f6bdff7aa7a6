"""Fast code, each function beside a plain ``reference_`` twin."""
