"""Which source pixels each unit of a traced value depends on, axis by axis."""
