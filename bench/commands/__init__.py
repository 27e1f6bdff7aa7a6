"""The commands of ``bench``; each imports what it needs inside its function."""
