"""What is kept of every run: its specification and record, the folder they lie in, and both as tidy frames."""
