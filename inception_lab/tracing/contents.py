"""Contents of the tensors that no operation of a trace makes: masks, indices and tables of numbers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import chain
from math import inf

import torch
from torch import Tensor

from inception_lab.ir.contents import packed
from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.ir.trace import Content
from inception_lab.running.layouts import Layout, layout_of
from inception_lab.running.step import Step
from inception_lab.tracing.external_contents import MOST_ELEMENTS, bytes_in, has_plain_data, may_be_trained
from inception_lab.tracing.recorder import OpRow, Recorder
from inception_lab.tracing.storages import Owners

MOST_PACKED, MOST_PACKED_IN_ALL = 1 << 19, 1 << 22
"""Bytes of packed contents, of one storage and of a trace."""
MOST_MASK_VALUES = 8
"""Different numbers in a mask of floating-point numbers, such as 0 and minus infinity."""
SAMPLE = 1 << 16
"""Bytes that tell if the rest will pack: weights do not, masks and indices do."""

STATISTICS_READERS = frozenset(
    {"native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"}
    | {"cudnn_batch_norm", "miopen_batch_norm", "_batch_norm_with_update", "_batch_norm_no_update"}
)
"""Operations that read buffers of which nothing but their size matters."""


def contents_of(recorder: Recorder, step: Step, existing: Owners) -> Iterator[Content]:
    """Contents of the storages that the forward pass reads and that no operation makes, where they are known.

    Args:
        recorder: Has recorded the run.
        step: The step that ran.
        existing: Kind and name of the storages that existed before the first operation.
    """
    external = recorder.storages.contents
    stand_ins = dict(chain(_registered(step, existing), _secondary_inputs(step, existing)))
    stand_ins |= external.stand_ins
    budget = _Budget()
    for storage in storages_read(recorder, stand_ins.keys() | external.by_storage.keys()):
        content = external.by_storage.get(storage)
        if storage in stand_ins:
            content = _original_bytes(*stand_ins[storage])
        # a storage that has grown since has no contents for its new part
        if content is not None and len(content) == recorder.storages.states[storage].bytes:
            yield from budget.spent_on(storage, content)


def with_python_data(contents: Sequence[Content], by_storage: Mapping[int, bytes]) -> tuple[Content, ...]:
    """The contents of a trace with those of Python's data that was found later."""
    budget = _Budget(sum(len(content.data) for content in contents))
    found = [content for item in by_storage.items() for content in budget.spent_on(*item)]
    return tuple(sorted((*contents, *found)))


class _Budget:
    """Packs contents, as long as all of them together are small.

    Args:
        spent: Bytes that are packed already.
    """

    def __init__(self, spent: int = 0) -> None:
        self._left = MOST_PACKED_IN_ALL - spent

    def spent_on(self, storage: int, content: bytes) -> Iterator[Content]:
        """The packed contents of a storage; nothing where they are too large."""
        if len(content) > MOST_PACKED and len(zlib.compress(content[:SAMPLE], 1)) > SAMPLE // 2:
            return
        data = packed(content)
        if len(data) <= min(MOST_PACKED, self._left):
            self._left -= len(data)
            yield Content(storage, data)


def _registered(step: Step, existing: Owners) -> Iterator[tuple[int, tuple[Layout, Tensor]]]:
    """Layout and original of the stand-in of each buffer and parameter, by storage."""
    tensors = {"buffer": step.model.buffers, "parameter": step.model.parameters}
    for storage, (kind, name) in existing.items():
        if kind in tensors:
            stand_in = tensors[kind][name]
            original = step.model.originals.get(id(stand_in))
            if original is not None and _may_be_kept(original):
                yield storage, (layout_of(stand_in), original)


def storages_read(recorder: Recorder, candidates: Set[int]) -> list[int]:
    """Those of the candidates whose contents may matter to an operation of the forward pass."""
    if not candidates:
        return []
    values = recorder.storages.values
    return sorted(
        {
            values[value].storage
            for row in recorder.ops
            if row[1] == "forward"
            for value in row[3]
            if values[value].storage in candidates and _reads_contents(row, value)
        }
    )


def _reads_contents(row: OpRow, value: int) -> bool:
    """True where the operation does more with the contents of a value than to count up or to normalise."""
    operation, _, _, reads, _ = row
    is_target = any(place == 0 for place, _ in operation.writes_to) and value == reads[0]
    return not is_target and parse_operation_name(operation.name).base not in STATISTICS_READERS


def _secondary_inputs(step: Step, existing: Owners) -> Iterator[tuple[int, tuple[Layout, Tensor]]]:
    """Layout and example of the masks and indices among several inputs, by storage."""
    tensors = step.arguments.tensors
    for storage, (kind, name) in existing.items():
        if kind == "input" and len(tensors) > 1:
            example = step.examples[id(tensors[name])]
            if _is_mask_or_index(example):
                yield storage, (layout_of(tensors[name]), example)


def _is_mask_or_index(example: Tensor) -> bool:
    """True for a few numbers, some of them different: those of a placeholder are all alike."""
    if not has_plain_data(example) or example.numel() > MOST_ELEMENTS:
        return False
    if example.is_complex():  # neither, and their numbers cannot be sorted
        return False
    distinct: Tensor = example.detach().unique()  # type: ignore[no-untyped-call]
    is_mask = distinct.numel() <= MOST_MASK_VALUES or bool((distinct == -inf).any())
    return distinct.numel() > 1 and (is_mask or not example.dtype.is_floating_point)


def _may_be_kept(original: Tensor) -> bool:
    return not may_be_trained(original) and has_plain_data(original) and original.numel() <= MOST_ELEMENTS


def _original_bytes(layout: Layout, original: Tensor) -> bytes | None:
    """The bytes of a stand-in's storage, with the numbers of the original."""
    if not _may_be_kept(original):
        return None
    try:
        laid_out = torch.empty_strided(layout.shape, layout.strides, dtype=layout.dtype, device="cpu")
        target, source = laid_out, original.detach()
        for dim, stride in enumerate(layout.strides):
            if stride == 0 and layout.shape[dim]:  # expanded: all positions are one
                target, source = target.narrow(dim, 0, 1), source.narrow(dim, 0, 1)
        target.copy_(source)
    # a layout or a class of tensors that cannot be copied: its contents are not known
    except (RuntimeError, TypeError):
        return None
    return bytes_in(laid_out.untyped_storage())
