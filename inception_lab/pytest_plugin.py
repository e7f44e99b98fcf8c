"""Budgets in anyone's own tests: a marker and a fixture, which cost nothing where they are not used."""
