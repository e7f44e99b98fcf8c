"""A model's multiply-accumulates as other counters see them, and why they differ from ours."""
