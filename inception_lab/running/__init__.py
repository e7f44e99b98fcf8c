"""One controlled pass or training step of any module: the base of tracing, measuring and counting."""
