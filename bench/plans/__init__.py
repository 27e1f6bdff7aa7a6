"""Planning: plugins, their fields, presets and budgets, and the list of runs that follows from them."""
