"""Storages and tensor versions by hand, one operation at a time."""

import gc
from types import SimpleNamespace

import pytest
import torch

from inception_lab.errors import InceptionLabError
from inception_lab.running.stand_ins import NoMetaForm
from inception_lab.tracing.external_contents import ExternalContents
from inception_lab.tracing.storages import MARK, Storages


class Tracking:
    """Storages, and operations that are told to them as a recorder would."""

    def __init__(self):
        self.ops = []
        self.storages = Storages(self.ops, ExternalContents({}, trusts_python=True))

    def make(self, tensor):
        """The value of a tensor that an operation returns."""
        (value,) = self.storages.outputs(tensor)
        self.ops.append(None)
        return value

    def write(self, tensor):
        self.storages.write(tensor)
        value = self.storages.version_of(tensor).id
        self.ops.append(None)
        return value

    def read(self, *items):
        return self.storages.values_in(items)


@pytest.fixture
def tracking():
    tracking = Tracking()
    yield tracking
    tracking.storages.release()


class TestVersions:
    def test_a_tensor_is_one_value_until_somebody_writes(self, tracking):
        x = torch.ones(2, 3)
        first = tracking.make(x)
        assert tracking.read(x) == tracking.read(x) == (first,)
        second = tracking.write(x)
        assert second != first
        assert tracking.read(x) == (second,)

    def test_a_view_is_a_value_of_the_same_storage_and_ages_with_it(self, tracking):
        x = torch.ones(2, 3)
        view = x[0]
        first, of_view = tracking.make(x), tracking.make(view)
        values = tracking.storages.values
        assert values[first].storage == values[of_view].storage
        tracking.write(view)
        assert tracking.read(x)[0] not in (first, of_view)

    def test_two_views_of_one_place_are_one_value_and_of_two_places_two(self, tracking):
        x = torch.ones(4, 2)
        tracking.make(x)
        assert tracking.read(x[1]) == tracking.read(x[1])
        assert tracking.read(x[1]) != tracking.read(x[2])
        assert tracking.read(x[0]) != tracking.read(x.view(8)[:1])

    def test_the_writer_of_a_value_is_the_operation(self, tracking):
        x, y = torch.ones(1), torch.ones(1)
        of_x, of_y = tracking.make(x), tracking.make(y)
        written = tracking.write(x)
        earlier = tracking.read(torch.ones(1))[0]
        ops = [tracking.storages.values[value].op for value in (of_x, of_y, written, earlier)]
        assert ops == [0, 1, 2, None]

    def test_values_within_items(self, tracking):
        x, y = torch.ones(1), torch.ones(1)
        of_x, of_y = tracking.make(x), tracking.make(y)
        assert tracking.read(x, [y, (x,)], None, {"a": y}, 1.5) == (of_x, of_y, of_x, of_y)
        assert tracking.read([x], SimpleNamespace(x=x)) == (of_x,)

    def test_an_operation_may_return_several_tensors_or_none(self, tracking):
        x, y = torch.ones(1), torch.ones(1)
        values = tracking.storages.outputs([x, None, y])
        assert values == tracking.read(x, y)
        assert len(set(values)) == 2
        assert tracking.storages.outputs(None) == ()


class TestLives:
    def test_born_with_the_first_operation_and_dead_after_the_last(self, tracking):
        x = torch.ones(2)
        tracking.make(x)
        view = x[:1]
        tracking.make(view)
        (state,) = tracking.storages.states
        del x
        assert (state.born, state.dies) == (0, None)
        tracking.ops.append(None)
        del view
        assert (state.born, state.dies) == (0, 2)
        assert not tracking.storages.alive

    def test_a_new_storage_at_the_address_of_a_dead_one_is_another(self, tracking):
        for _ in range(5):
            x = torch.ones(1000)
            tracking.make(x)
            del x
        assert [state.born for state in tracking.storages.states] == list(range(5))

    def test_an_adopted_tensor_is_there_before(self, tracking):
        weight = torch.ones(3, requires_grad=True)
        place = tracking.storages.adopt(weight)
        state = tracking.storages.states[place]
        assert (state.born, state.bytes) == (None, 12)
        assert tracking.storages.values[tracking.read(weight)[0]].storage == place

    def test_a_storage_that_grows(self, tracking):
        x = torch.ones(2)
        tracking.make(x)
        x.resize_(10)
        tracking.write(x)
        assert [state.bytes for state in tracking.storages.states] == [40]


class TestRelease:
    def test_marks_are_taken_off_and_gradients_given_back(self, tracking):
        weight, foreign = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
        own, gradient = torch.ones(1), torch.ones(1)
        weight.grad, foreign.grad = own, gradient
        tracking.storages.adopt(weight)
        tracking.read(weight, foreign)
        assert (weight.grad is own, foreign.grad) == (True, None)
        foreign.grad = torch.zeros(1)
        tracking.storages.release()
        assert foreign.grad is gradient
        assert not hasattr(foreign, MARK)

    def test_nothing_is_kept(self, tracking):
        x = torch.ones(2)
        tracking.make(x)
        tracking.storages.release()
        assert getattr(x, MARK).storage.storages is None
        del x
        gc.collect()
        assert not tracking.storages.alive


def test_a_tensor_without_a_storage_is_refused(tracking):
    with pytest.raises(InceptionLabError, match="_mkldnn has no storage to follow") as e:
        tracking.read(torch.eye(2).to_mkldnn())
    assert e.value.exit_code == 3
    with pytest.raises(NoMetaForm):
        tracking.read(torch.eye(2).to_sparse().to("meta"))


def test_a_sparse_tensor_lies_in_the_storages_of_its_values_and_indices(tracking):
    places = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2])
    adjacency = torch.sparse_csr_tensor(*places, torch.ones(3), (3, 3))
    tracking.read(adjacency)
    assert [state.bytes for state in tracking.storages.states] == [3 * 4, 4 * 8, 3 * 8]
    values = adjacency.values()
    tracking.read(values)
    assert len(tracking.storages.states) == 3
