"""Alignment of two nets: which module of one answers to which of the other.

From the whole nets down, the children of two modules that answer to each other are aligned as two sequences
are (Needleman and Wunsch 1970): in order of execution, so that no pair crosses another, with the largest sum
of the scores of pairs. Of the score of a pair, the first of these that holds counts most:

- the same name, unless it is a number, as those in an `nn.Sequential` are places and not names;
- the same structure: layers of the same types in the same order, with the same parameters;
- layers of the same types in the same order;
- for two containers, at least half of the types of layers in common.

Two modules of which none of these holds never answer to each other. Modules of one name that stand in
another order in the two nets are paired in the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inception_lab.comparison.module_tree import ModuleNode

Modules = Sequence[ModuleNode]
Places = tuple[int, int]
"""The places of two modules among their siblings."""

_SAME_NAME, _SAME_CONTENT, _SAME_TYPES, _SAME_NUMBER = 128, 32, 16, 1
_LEAST_IN_COMMON = 0.5
_LARGEST_TABLE = 250_000
"""Scores that are computed for the children of two modules; of more, those of one name are paired."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two modules that answer to each other, or one that nothing answers to.

    Attributes:
        first: The module of the first net; None where it is added.
        second: The module of the second net; None where it is removed.
        children: Of both, aligned; empty where nothing in one answers to anything in the other.
    """

    first: ModuleNode | None
    second: ModuleNode | None
    children: tuple[Pair, ...] = ()

    @property
    def nodes(self) -> tuple[ModuleNode, ...]:
        """The modules that there are."""
        return tuple(node for node in (self.first, self.second) if node is not None)


def align(first: ModuleNode, second: ModuleNode) -> Pair:
    """Align two nets.

    Which net comes first makes no difference to the pairs.

    Args:
        first: The whole of one net, or any module.
        second: The other one.

    Example:
        >>> from inception_lab.comparison.module_tree import module_tree
        >>> nets = [{"stem": "Conv2d"}, {"stem": "Conv2d", "fc": "Linear"}]
        >>> trees = [module_tree({"layer": k, "type": v} for k, v in net.items()) for net in nets]
        >>> [[node.path for node in pair.nodes] for pair in align(*trees).children]
        [['stem', 'stem'], ['fc']]
    """
    children = tuple(
        align(one, other) if one and other else Pair(one, other)
        for one, other in align_children(first.children, second.children)
    )
    has_common = any(pair.first and pair.second for pair in children)
    return Pair(first, second, children if has_common else ())


def align_children(
    firsts: Modules, seconds: Modules
) -> Iterator[tuple[ModuleNode | None, ModuleNode | None]]:
    """Align the children of two modules; those without a partner stand between their neighbours.

    Args:
        firsts: Of one module, in order of execution.
        seconds: Of the other one.

    Returns:
        Pairs in the order of both, None in the place of a missing partner.
    """
    # of two alignments that are equally good, the order of the nets would decide
    if _order(seconds) < _order(firsts):
        places = [(n, m) for m, n in _pairs_in_order(seconds, firsts)]
    else:
        places = _pairs_in_order(firsts, seconds)
    in_order = dict(places)
    partners = in_order | _pairs_of_one_name(firsts, seconds, places)
    alone = set(range(len(seconds))) - set(partners.values())
    position = 0
    for place, first in enumerate(firsts):
        if place in in_order:
            yield from ((None, seconds[n]) for n in range(position, in_order[place]) if n in alone)
            position = in_order[place] + 1
        yield first, seconds[partners[place]] if place in partners else None
    yield from ((None, seconds[n]) for n in range(position, len(seconds)) if n in alone)


def _order(modules: Modules) -> list[tuple[str, str, list[tuple[str, float]]]]:
    nodes = (node for module in modules for node in module.nodes())
    return [(node.path, node.type, sorted((node.own or {}).items())) for node in nodes]


def _pairs_of_one_name(firsts: Modules, seconds: Modules, places: Sequence[Places]) -> dict[int, int]:
    """Modules of one name that an alignment in order leaves without a partner."""
    first_places, second_places = ({pair[side] for pair in places} for side in (0, 1))
    by_name = {node.name: n for n, node in enumerate(seconds) if n not in second_places}
    return {
        n: by_name[node.name]
        for n, node in enumerate(firsts)
        if n not in first_places and node.name in by_name and not node.name.isdigit()
    }


def _pairs_in_order(firsts: Modules, seconds: Modules) -> list[Places]:
    """The pairs of the best alignment in order."""
    head = _count_equal(firsts, seconds)
    firsts, seconds = firsts[head:], seconds[head:]
    tail = _count_equal(firsts[::-1], seconds[::-1])
    rows, columns = len(firsts) - tail, len(seconds) - tail
    pairs = _best if rows * columns <= _LARGEST_TABLE else _by_name
    middle = pairs(firsts[:rows], seconds[:columns])
    ends = [(rows + n, columns + n) for n in range(tail)]
    return [(n, n) for n in range(head)] + [(head + i, head + j) for i, j in [*middle, *ends]]


def _count_equal(firsts: Modules, seconds: Modules) -> int:
    """Pairs at the beginning that no alignment can better: nothing else has the score of its equal."""
    count = 0
    for first, second in zip(firsts, seconds, strict=False):
        if first.name != second.name or (first.name.isdigit() and first.content != second.content):
            break
        count += 1
    return count


def _best(firsts: Modules, seconds: Modules) -> Iterator[Places]:
    """The pairs of the best alignment, by dynamic programming from the end."""
    scores = [[_score(first, second) for second in seconds] for first in firsts]
    # best[i][j] is the sum of the scores of what begins at place i of one and j of the other
    best = [[0] * (len(seconds) + 1) for _ in range(len(firsts) + 1)]
    for i in reversed(range(len(firsts))):
        for j in reversed(range(len(seconds))):
            pair = scores[i][j] + best[i + 1][j + 1] if scores[i][j] else 0
            best[i][j] = max(pair, best[i + 1][j], best[i][j + 1])
    i = j = 0
    while i < len(firsts) and j < len(seconds):
        if scores[i][j] and best[i][j] == scores[i][j] + best[i + 1][j + 1]:
            yield i, j
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1


def _by_name(firsts: Modules, seconds: Modules) -> Iterator[Places]:
    """The pairs of one name, but for those that cross an earlier one."""
    places, position = {node.name: n for n, node in enumerate(seconds)}, 0
    for n, node in enumerate(firsts):
        if places.get(node.name, -1) >= position:
            yield n, places[node.name]
            position = places[node.name] + 1


def _score(first: ModuleNode, second: ModuleNode) -> int:
    """The score of two modules, 0 where they do not answer to each other."""
    same_name, is_number = first.name == second.name, first.name.isdigit()
    score = _likeness(first, second) + (_SAME_NAME if same_name and not is_number else 0)
    return score + _SAME_NUMBER if score and same_name else score


def _likeness(first: ModuleNode, second: ModuleNode) -> int:
    """The part of a score that is independent of names."""
    if first.content == second.content:
        return _SAME_CONTENT
    if first.layer_types == second.layer_types:
        return _SAME_TYPES
    if not (first.children and second.children):
        return 0
    common = Counter(first.layer_types) & Counter(second.layer_types)
    share = 2 * common.total() / (len(first.layer_types) + len(second.layer_types))
    return int(share * (_SAME_TYPES - 1)) if share >= _LEAST_IN_COMMON else 0
