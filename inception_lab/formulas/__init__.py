"""Costs of operations by published conventions: a table per kind of operation, and their registry."""
