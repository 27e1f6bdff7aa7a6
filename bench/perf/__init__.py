"""The kernel benchmarks as a command: run them, tabulate them, and set one commit against another."""
