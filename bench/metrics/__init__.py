"""Scores of a sampler, each with unit, direction, version and signature."""
