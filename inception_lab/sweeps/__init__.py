"""Thousands of variants of a design: their space, its runner, its store, its Pareto front."""
