"""Small nets drawn by seed, of every operation that has a rule, for comparison with oracles."""
