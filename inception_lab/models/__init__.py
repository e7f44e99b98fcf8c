"""The zoo: one architecture a file, the cards that describe them, the registry that builds them."""
