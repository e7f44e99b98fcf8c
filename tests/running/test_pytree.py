"""Tensors in whatever a model takes or returns, in the order in which they stand there."""

from collections import OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.running.pytree import tensors_within

Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Batch:
    images: Any
    more: Any = None
    late: Any = field(init=False)


@dataclass
class Preset:
    scale: Any = torch.tensor(3)  # noqa: RUF009 - which no tests change


def numbers(item):
    return [tensor.item() for tensor in tensors_within(item)]


def t(number):
    return torch.tensor(number)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (t(1), [1]),
        (Pair(t(1), [t(2)]), [1, 2]),
        (deque([t(1), (t(2),)]), [1, 2]),
        ({t(1)}, [1]),
        (frozenset([t(1)]), [1]),
        (OrderedDict(b=t(1), a=t(2)), [1, 2]),
        (UserDict(a=t(1), b={"c": t(2)}), [1, 2]),
        (Batch(t(1), Batch([t(2)])), [1, 2]),
        (Batch, []),
        (Preset(), [3]),
        (Preset, []),
        ("text", []),
        (b"bytes", []),
        (None, []),
        (range(3), []),
        ((t(i) for i in range(3)), []),
        ([[], (), {}, 1.5, object()], []),
    ],
    ids=lambda item: type(item).__name__,
)
def test_containers(item, expected):
    assert numbers(item) == expected


def test_the_same_tensor_twice_comes_twice():
    assert numbers([t(1)] * 2) == [1, 1]


def test_an_iterator_is_not_consumed():
    iterator = iter([t(1)])
    assert numbers([iterator]) == []
    assert next(iterator).item() == 1


def nested(children):
    return st.lists(children) | st.dictionaries(st.text(), children) | st.tuples(children, children)


@given(st.recursive(st.none() | st.integers(0, 9), nested))
def test_any_nesting_has_the_numbers_of_its_leaves(tree):
    def with_tensors(item):
        if isinstance(item, dict):
            return {key: with_tensors(value) for key, value in item.items()}
        if isinstance(item, (list, tuple)):
            return type(item)(map(with_tensors, item))
        return item if item is None else t(item)

    leaves, waiting = [], [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, int):
            leaves.append(item)
        elif item is not None:
            waiting += reversed(list(item.values() if isinstance(item, dict) else item))
    assert numbers(with_tensors(tree)) == leaves
