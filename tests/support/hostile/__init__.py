"""Small nets that a tracer stumbles over; `hostile.table` says what must come out of each."""
