"""Models side by side: totals with ratios, and of two of them what differs module by module."""
