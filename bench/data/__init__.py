"""Text and tunes from files and from the internet, cleaned and split; nothing here needs torch."""
