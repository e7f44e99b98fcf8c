"""Real runs of a model, each with the machine that it ran on."""
