"""Budgets: limits on what a model costs, held against it and against what it had before."""
