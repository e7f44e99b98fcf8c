"""Profiles of torch.profiler: its traces read, and each GPU kernel given to the layer that launched it."""
