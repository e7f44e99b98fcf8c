"""Rows of made-up nets, for tests that need many of them."""

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "conv", "0", "1", "2", "10"])
TYPES = st.sampled_from(["Conv2d", "ReLU", "Linear"])


def _nest(parts):
    return st.dictionaries(NAMES, parts, min_size=1, max_size=4)


LEAVES = st.tuples(TYPES, st.integers(0, 2))
NETS = st.recursive(LEAVES, _nest, max_leaves=12).filter(lambda net: isinstance(net, dict))


def rows_of(net, path=""):
    """The rows of a record: a row per leaf, and one for the net itself."""
    if not path:
        yield {"layer": "(model)", "type": "Net", "params": 0, "macs": 1}
    for name, part in net.items():
        inner = f"{path}.{name}" if path else name
        if isinstance(part, dict):
            yield from rows_of(part, inner)
        else:
            yield {"layer": inner, "type": part[0], "params": part[1], "macs": 10 * part[1]}


def record_of(net, name="net", **facts):
    """A record of a made-up net, with totals that its rows add up to."""
    from inception_lab.record import Record

    rows = tuple(rows_of(net))
    context = {
        "model": name,
        "input_shapes": [[1, 3, 9, 9]],
        "mode": "eval",
        "dtype": "float32",
        "complete": True,
    }
    totals = {metric: sum(row[metric] for row in rows) for metric in ("params", "macs")}
    return Record(context | facts, totals, (), (), rows)
