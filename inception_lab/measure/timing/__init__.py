"""Times of real passes and training steps, layer by layer, that add up to the step."""
