"""Tasks: training data for the generators, held-out data and oracles for the judge."""
