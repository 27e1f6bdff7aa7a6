"""Leaderboards, tables and plots: pure functions of the results frames."""
