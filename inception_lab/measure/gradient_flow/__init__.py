"""Gradients and activations along depth, what each loss contributes, and a short training run."""
