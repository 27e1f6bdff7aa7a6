"""Models that belong to the harness: samples of models that were trained elsewhere."""
