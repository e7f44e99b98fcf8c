"""Thousands of variants of a design: their space, what runs them, and their store."""
