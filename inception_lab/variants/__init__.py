"""The table of a sweep: its columns, and which of its rows none dominates."""
