"""Ways of getting a list of runs done: in this process or in several."""
