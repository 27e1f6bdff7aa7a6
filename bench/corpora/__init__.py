"""Small corpora that ship with the package, each with its datasheet and notices."""
