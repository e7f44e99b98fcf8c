"""Memory of a pass or a training step, from the lifetimes of its storages."""
