"""HTTP: the outermost guard, a flat list of routes, and the one place that prints a refusal."""
