"""Audits of random nets: no departure from themselves, and exactly the one that is planted."""

from hypothesis import given, settings
from hypothesis import strategies as st

import inception_lab as il
from tests.support.audit_nets import CHANGES, CHANNELS, NETS, Pool, Written, changed, convs, layers_of, net_of

SHAPE = (1, CHANNELS, 12, 12)


def audit_of(net, reference):
    return il.audit(il.trace(net, SHAPE), il.trace(reference, SHAPE))


@settings(max_examples=25, deadline=None)
@given(NETS)
def test_renamed_modules_and_a_rewrite_without_modules_do_not_depart(steps):
    reference = net_of(steps)
    for net in (reference, net_of(steps, "x"), Written(steps)):
        assert audit_of(net, reference).rows == ()


@settings(max_examples=40, deadline=None)
@given(NETS, st.sampled_from(sorted(CHANGES)), st.data())
def test_one_planted_change_is_the_one_departure(steps, name, data):
    place, conv = data.draw(st.sampled_from([*convs(steps)]))
    other = changed(steps, place, CHANGES[name](conv))
    for net in (net_of(other, "x"), Written(other)):
        answer = audit_of(net, net_of(steps))
        assert [row.property for row in answer.departures] == [name]
        assert answer.departs


@settings(max_examples=25, deadline=None)
@given(NETS, st.data())
def test_a_departure_names_the_layer_in_both_nets(steps, data):
    place, conv = data.draw(st.sampled_from([*convs(steps)]))
    other = changed(steps, place, CHANGES["kernel"](conv))
    (row,) = audit_of(net_of(other, "x"), net_of(steps)).departures
    assert (row.value, row.reference) == ("7x7", f"{conv.kernel}x{conv.kernel}")
    for path, prefix in ((row.layer, "x"), (row.reference_layer, "layer")):
        names = [f"{prefix}{n}" if k % 2 == 0 else f"{prefix}branch{n}" for k, n in enumerate(place)]
        assert path == ".".join([*names, "0"])


@settings(max_examples=25, deadline=None)
@given(NETS.filter(lambda steps: [*layers_of(steps, Pool)]), st.data())
def test_a_pool_of_another_kind_is_the_one_departure(steps, data):
    place, pool = data.draw(st.sampled_from([*layers_of(steps, Pool)]))
    kinds = ("average", "max") if pool.kind == "max" else ("max", "average")
    other = changed(steps, place, [Pool(kinds[0])])
    (row,) = audit_of(Written(other), net_of(steps)).departures
    assert row[2:5] == ("operation", *(f"{kind} pool" for kind in kinds))
