"""The harness: judge, clock and record keeper of the benchmark."""
