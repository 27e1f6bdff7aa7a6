"""From a plan to records: the loop over runs, one run, its clock and checkpoints, and the executors."""
