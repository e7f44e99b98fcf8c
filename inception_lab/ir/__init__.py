"""The Trace, what a model did when it ran once, and the structure that it shows."""
