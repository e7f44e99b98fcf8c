"""Ceilings of a machine, and the times of layers beside what they allow."""
