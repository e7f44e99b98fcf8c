"""Rules by which operations move and join the channels' labels; see `channel_labels`."""
