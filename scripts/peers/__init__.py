"""The race of this project against its peers, started by `python scripts/bench_peers.py`.

Every contender counts (or only runs) the same nets, in one process and in turns, so that whatever
disturbs the machine disturbs all of them; ratios are taken within a round, and their median is
reported. Cold starts and memory are taken in fresh processes, one contender each.
"""
