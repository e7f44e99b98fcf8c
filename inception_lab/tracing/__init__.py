"""Running a model once, on meta tensors wherever it can, to a Trace."""
