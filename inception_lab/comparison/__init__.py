"""Models side by side: what differs, and which module of one net answers to which of another."""
