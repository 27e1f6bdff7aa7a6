"""Analysis of records: leaderboards with intervals, verdicts, frontiers, costs, and comparisons of two benchmarks."""
