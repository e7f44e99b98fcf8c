"""Upper ends of what a user may ask of a real run; importing them brings no torch."""

MOST_SEEDS = 1000
MOST_SAMPLES = 1000
"""Inputs of an effective field are as many as seeds times samples, and all are drawn before the first run."""
