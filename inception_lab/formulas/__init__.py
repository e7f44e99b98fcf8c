"""What operations cost, by published conventions: a table per kind of operation, and their registry."""
