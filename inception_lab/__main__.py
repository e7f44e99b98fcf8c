"""`python -m inception_lab`, the same as `inception-lab`."""

import sys

if not sys.flags.safe_path:
    # Python puts the current folder first, where a user's json.py would hide Python's own
    del sys.path[0]

from inception_lab.cli import main

main()
