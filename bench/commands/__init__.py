"""One module a command of ``bench``; each imports what it needs inside the function."""
