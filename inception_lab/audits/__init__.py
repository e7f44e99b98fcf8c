"""Audit of an implementation against a reference net, layer by layer."""
