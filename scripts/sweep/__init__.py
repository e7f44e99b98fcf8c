"""The sweep over every architecture that is installed, started by `python scripts/sweep_zoo.py`."""
