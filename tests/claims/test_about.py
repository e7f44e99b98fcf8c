"""Claims about single models: which they are, and that they are the verdicts of `confirm`."""

from __future__ import annotations

from unittest.mock import patch

import pytest

import inception_lab as il
from inception_lab.claims.nets import Nets
from inception_lab.errors import InceptionLabError


def _ids(name: str) -> list[str]:
    return [claim.claim.id for claim in il.claims_about([name])[name].claims]


def test_claims_name_their_model_alone() -> None:
    ids = _ids("googlenet")
    assert {"22", "27", "params_googlenet"} <= set(ids)
    # a ratio to AlexNet, a time, heads that are built with aux_logits=True
    assert not {"12x", "faster", "auxshape"} & set(ids)


def test_keywords_make_another_model() -> None:
    assert "auxshape" in _ids("googlenet( aux_logits = true )")
    assert _ids("googlenet(num_classes=10)") == []


def test_verdicts_are_those_of_confirm() -> None:
    claims = il.claims_about(["vgg16", "nin"])
    assert list(claims) == ["vgg16", "nin"]
    for confirmation in claims.values():
        ids = [claim.claim.id for claim in confirmation.claims]
        assert ids
        assert confirmation == il.confirm(ids)


def test_a_net_is_traced_once_for_all_models() -> None:
    keys: list[object] = []
    trace = Nets._trace_of_zoo

    def counted(nets: Nets, *key: object) -> il.Trace:
        keys.append(key)
        return trace(nets, *key)  # type: ignore[arg-type]

    with patch.object(Nets, "_trace_of_zoo", counted):
        il.claims_about(["googlenet", "googlenet_3x3", "vgg16"])
    assert len(keys) == len(set(keys)) > 2


def test_other_nets_have_no_claims() -> None:
    for name in ("mynet:MyNet", "mynet:MyNet(path='a)b')", "not in the zoo"):
        assert il.claims_about([name])[name].claims == ()
    assert il.claims_about([]) == {}


def test_a_name_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InceptionLabError):
        il.claims_about(["googlenet(num_classes=)"])
    with pytest.raises(InceptionLabError, match="names is the text 'googlenet'"):
        il.claims_about("googlenet")
