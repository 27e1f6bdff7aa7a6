"""What is kept of every run: its specification and record, the folder that stores them, and both as tidy frames."""
