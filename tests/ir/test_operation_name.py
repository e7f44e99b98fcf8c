"""Names of operations, beside the schemas of PyTorch itself."""

import pytest
import torch

from inception_lab.ir.operation_name import parse_operation_name


def overloads(namespace="aten"):
    for name in torch._C._dispatch_get_all_op_names():
        home, _, rest = name.partition("::")
        operation, _, overload = rest.partition(".")
        if home == namespace:
            yield getattr(getattr(getattr(torch.ops, home), operation), overload or "default")


@pytest.mark.parametrize(
    ("name", "base", "in_place"),
    [
        ("aten.add.Tensor", "add", False),
        ("aten.add_.Tensor", "add", True),
        ("aten._foreach_add_.List", "_foreach_add", True),
        ("aten.__and__.Tensor", "__and__", False),
        ("aten.__ior__.Scalar", "__or__", True),
        ("torchvision.roi_align.default", "torchvision.roi_align", False),
        ("mine.scale_.default", "mine.scale", True),
        ("odd", "odd", False),
    ],
)
def test_the_parts_of_a_name(name, base, in_place):
    assert parse_operation_name(name) == (base, in_place)


def test_an_operation_works_in_place_exactly_where_its_schema_writes_to_its_first_argument():
    """The schema of every in-place operation marks its first argument as written to."""
    in_place_count = 0
    for func in overloads():
        arguments = func._schema.arguments
        if parse_operation_name(str(func)).in_place:
            assert getattr(arguments[0].alias_info, "is_write", False), func
            in_place_count += 1
    assert in_place_count > 300


def test_an_in_place_operation_shares_the_base_name_of_the_other_one():
    bases = {parse_operation_name(str(func)).base for func in overloads() if not func._schema.is_mutable}
    for name in ("aten.relu_.default", "aten.mul_.Tensor", "aten.__ixor__.Tensor", "aten.squeeze_.dim"):
        assert parse_operation_name(name).base in bases
