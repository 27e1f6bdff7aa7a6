"""Ways to do a list of runs: in this process or in several."""
