"""The source pixels that each unit of a traced value depends on, axis by axis."""
