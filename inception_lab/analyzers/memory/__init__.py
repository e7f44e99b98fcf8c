"""What a pass or a training step holds in memory, from the lifetimes of its storages."""
