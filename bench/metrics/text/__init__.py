"""Scoring of files of samples: how lines become words, intervals, notes, and the report."""
