"""Runs for trackers of experiments: TensorBoard and Weights & Biases."""
