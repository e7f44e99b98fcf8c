"""Race this project against its peers: CPU time, added memory, cold start and the counts themselves.

Usage: python scripts/bench_peers.py [--models googlenet ...] [--rounds 20] [--output DIR]
"""

import sys

from peers.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
