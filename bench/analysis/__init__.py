"""What records say: leaderboards with intervals, verdicts, frontiers, costs, and one benchmark against another."""
