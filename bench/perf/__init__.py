"""The kernel benchmarks as a command: run them, tabulate them, and compare one commit with another."""
