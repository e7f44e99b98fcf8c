"""The order of the race, what it counts, and peers that fail."""

from dataclasses import replace

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import inception_lab as il
from peers.contenders import CONTENDERS, OURS, net
from peers.options import parse
from peers.race import operation_count, race, turns
from peers.results import Case

TINY = ["--models", "googlenet", "--input-size", "3x32x32", "--rounds", "2"]


def test_every_round_has_every_case_in_another_order():
    order = list(turns("abc", 3))
    assert [order[:3], order[3:6], order[6:]] == [["a", "b", "c"], ["a", "c", "b"], ["c", "a", "b"]]


def test_operations_are_those_that_a_forward_dispatches():
    class Counting(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls += 1
            return func(*args, **(kwargs or {}))

    model = il.create_model("googlenet", device="meta").eval()
    image = torch.zeros(1, 3, 32, 32, device="meta")
    with torch.no_grad(), Counting() as counting:
        model(image)
    assert operation_count("googlenet", parse(TINY)) == counting.calls


def test_a_peer_that_fails_is_a_row_with_its_reason(monkeypatch):
    def fail(model, image):
        model.register_forward_hook(lambda *_: None)
        raise LookupError(f"no operator for {image.device}")

    options = parse([*TINY, "--batch-sizes", "1"])
    contenders = {name: CONTENDERS[name] for name in (OURS, "real forward")}
    contenders["peer"] = replace(CONTENDERS[OURS], prepare=fail)
    monkeypatch.setattr("peers.race.CONTENDERS", contenders)
    timings = race("googlenet", options)
    assert [case.contender for case in timings] == [OURS, "real forward", "peer"]
    assert timings[Case("googlenet", 1, "peer")].why_not == "not run: LookupError on meta tensors"
    assert len(timings[Case("googlenet", 1, OURS)].seconds) == 2
    others = [net("googlenet", contender) for contender in list(contenders.values())[:2]]
    assert not any(other._forward_hooks for other in others)  # one that fails disturbs no other
