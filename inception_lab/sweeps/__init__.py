"""Thousands of variants of a design."""
