"""Figures of results; matplotlib."""
