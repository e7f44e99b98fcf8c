"""A prepared and guarded run: its guards, its steady state, its phases in order, and what it refuses."""

import gc
from dataclasses import FrozenInstanceError
from queue import SimpleQueue

import pytest
import torch
import torch._dynamo.eval_frame as dynamo  # an import of the compiler, which has a stance from here on
import torch.nn.functional as F
from support.fingerprints import fingerprint, same
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.running.guards import guarded, operation_by_operation
from inception_lab.running.optimizers import OPTIMIZERS, state_of
from inception_lab.running.request import Request, request_of
from inception_lab.running.stand_ins import cpu_copy, cpu_input, meta_input, meta_twin
from inception_lab.running.step import (
    UNOBSERVED,
    Placement,
    prepared,
    settled_by_running,
    settled_without_arithmetic,
)

CPU = Placement("cpu", cpu_copy, cpu_input)
META = Placement("meta", meta_twin, meta_input)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 5))


def batch():
    return torch.linspace(-1, 1, 12).view(4, 3)


class Module(nn.Module):
    """A linear layer, with a forward of one's own."""

    def __init__(self, forward):
        super().__init__()
        self.linear, self.function = nn.Linear(3, 3), forward

    def forward(self, *args):
        return self.function(self, *args)


@pytest.fixture(params=[True, False], ids=["switches on", "switches off"])
def _switches(request):
    """The settings of the process, all on or all off."""
    before = settings()
    set_settings(request.param, request.param, request.param)
    yield
    set_settings(*before[:3])


def settings():
    return (
        torch.backends.mha.get_fastpath_enabled(),
        torch.is_grad_enabled(),
        gc.isenabled(),
        dynamo._stance.stance,
        torch.is_inference_mode_enabled(),
        torch.default_generator.get_state().tolist(),
    )


def set_settings(fast_path, gradients, collection):
    torch.backends.mha.set_fastpath_enabled(fast_path)
    torch.set_grad_enabled(gradients)
    (gc.enable if collection else gc.disable)()


class TestGuards:
    @pytest.mark.usefixtures("_switches")
    @pytest.mark.parametrize("mode", ["eval", "train"])
    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_all_are_restored_when_the_body_raises(self, mode, error):
        model = net()
        before, prints = settings(), fingerprint(model)
        inside = []

        def raise_within():
            with prepared(Request(model, (4, 3), mode), CPU):
                inside[:] = settings()
                raise error("on purpose")

        with pytest.raises(error, match="on purpose"):
            raise_within()
        assert inside[:5] == [False, mode == "train", False, "force_eager", False]
        assert inside[5] != before[5]
        assert settings() == before
        assert same(prints, fingerprint(model))

    def test_all_are_restored_when_settling_raises(self):
        def failing(_):
            raise RuntimeError("on purpose")

        model, before = net(), settings()
        request = request_of(model, (4, 3), optimizer="sgd", mode="train")
        with pytest.raises(RuntimeError, match="on purpose"), prepared(request, CPU, failing):
            pass
        assert settings() == before
        assert not any(parameter.is_meta for parameter in model.parameters())

    def test_tensors_made_in_inference_mode_can_be_differentiated(self):
        model = net()
        with torch.inference_mode(), prepared(Request(model, (4, 3), "train"), CPU) as step:
            assert not torch.is_inference_mode_enabled()
            step.run()
            gradients = [parameter.grad for parameter in step.model.parameters.values()]
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)

    def test_a_dispatch_mode_of_somebody_else_sees_nothing(self):
        class Log(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                names.append(str(func))
                return func(*args, **(kwargs or {}))

        names = []
        with Log(), guarded(net(), False, meta_twin) as model:
            model.modules[""](torch.empty(4, 3, device="meta"))
            inside = list(names)
        with Log():
            torch.ones(1)
        assert not [name for name in inside if "addmm" in name]
        assert names[len(inside) :]

    def test_replicas_are_switched_off_and_on_again(self):
        model = nn.DataParallel(nn.Linear(3, 3))
        model.device_ids = [0, 1]
        with guarded(model, False, cpu_copy):
            assert model.device_ids == []
        assert model.device_ids == [0, 1]

    def test_the_fast_path_is_restored_as_it_was_and_not_switched_on(self):
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with operation_by_operation({}):
                pass
            assert not torch.backends.mha.get_fastpath_enabled()
        finally:
            torch.backends.mha.set_fastpath_enabled(True)

    def test_the_same_random_numbers_every_time(self):
        model = nn.Sequential(nn.Linear(3, 50), nn.Dropout())
        runs = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            with prepared(Request(model, (4, 3), "train"), CPU) as step:
                runs.append((step.arguments.args[0], step.run().outputs))
        assert torch.equal(runs[0][0], runs[1][0])
        assert torch.equal(runs[0][1], runs[1][1])


def reference_steps(make, steps):
    """A model and its optimizer after so many steps of a plain loop of PyTorch's, gradients gone."""
    model = net()
    optimizer = make(model.parameters())
    for _ in range(steps):
        loss = F.cross_entropy(model(batch()), torch.zeros(4, dtype=torch.int64))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def kept_by(optimizer, parameters):
    return state_of(optimizer, dict(parameters))


@pytest.mark.parametrize("name", OPTIMIZERS)
class TestSteadyState:
    def test_by_running_it_is_that_after_a_first_step(self, name):
        request = request_of(net(), batch(), optimizer=name, mode="train")
        model, optimizer = reference_steps(OPTIMIZERS[name], 1)
        with prepared(request, CPU, settled_by_running) as step:
            expected = kept_by(optimizer, model.named_parameters())
            state = kept_by(step.optimizer, step.model.parameters)
            assert state.keys() == expected.keys()
            assert all(torch.equal(state[key], value) for key, value in expected.items())
            assert all(parameter.grad is None for parameter in step.model.parameters.values())
            step.run()
            weights = {path: tensor.detach().clone() for path, tensor in step.model.parameters.items()}
        after_two = dict(reference_steps(OPTIMIZERS[name], 2)[0].named_parameters())
        assert weights.keys() == after_two.keys()
        assert all(torch.equal(weights[path], value) for path, value in after_two.items())

    @pytest.mark.parametrize("placement", [META, CPU], ids=["meta", "cpu"])
    def test_without_arithmetic_the_same_tensors_are_there(self, name, placement):
        def described(state):
            return {key: (t.shape, t.stride(), t.dtype, t.requires_grad) for key, t in state.items()}

        model, optimizer = reference_steps(OPTIMIZERS[name], 2)
        with prepared(request_of(net(), batch(), optimizer=name, mode="train"), placement) as step:
            state = kept_by(step.optimizer, step.model.parameters)
            assert described(state) == described(kept_by(optimizer, model.named_parameters()))
            assert all(parameter.grad is None for parameter in step.model.parameters.values())
            groups, expected = step.optimizer.param_groups, optimizer.param_groups
            assert [{**g, "params": 0} for g in groups] == [{**g, "params": 0} for g in expected]
            before = {key: id(tensor) for key, tensor in state.items()}
            step.run()
            after = kept_by(step.optimizer, step.model.parameters)
            assert {key: id(tensor) for key, tensor in after.items()} == before

    @pytest.mark.parametrize("settle", [settled_by_running, settled_without_arithmetic])
    def test_a_frozen_model_has_no_optimizer(self, name, settle):
        model = net().requires_grad_(False)
        with prepared(request_of(model, batch(), optimizer=name, mode="train"), CPU, settle) as step:
            assert step.optimizer is None
            assert step.run().loss.requires_grad is False


class Log:
    """An observer that writes down what it is told."""

    def __init__(self):
        self.lines = []

    def begin(self, phase):
        self.lines.append(phase)

    def reporting(self, function, path, kind):
        def reported(*args):
            self.lines.append(f"{path} {kind} begins")
            result = function(*args)
            self.lines.append(f"{path} ends")
            return result

        return reported


class TestPhases:
    def test_in_order_around_what_runs_in_them(self):
        log = Log()

        class Logging(torch.autograd.Function):
            @staticmethod
            def forward(_, x):
                log.lines.append("a forward runs")
                return x.clone()

            @staticmethod
            def backward(_, gradient):
                log.lines.append("a backward runs")
                return gradient

        class Optimizer(torch.optim.SGD):
            def step(self):
                log.lines.append("an update runs")
                super().step()

        model = Module(lambda self, x: Logging.apply(self.linear(x)))
        with prepared(request_of(model, (4, 3), optimizer=Optimizer, mode="train"), CPU) as step:
            log.lines.clear()
            step.run(log)
        assert log.lines == [
            "a forward runs",
            "loss", "(loss) cross_entropy begins", "(loss) ends",
            "backward", "a backward runs",
            "optimizer", "(optimizer) Optimizer begins", "an update runs", "(optimizer) ends",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("options", "lines"),
        [
            ({}, []),
            ({"mode": "train", "loss": torch.sum}, ["loss", "(loss) sum begins", "(loss) ends", "backward"]),
        ],
        ids=["inference", "no optimizer"],
    )
    def test_a_phase_that_does_not_take_place_is_not_begun(self, options, lines):
        log = Log()
        with prepared(Request(net(), (4, 3), **options), CPU) as step:
            step.run(log)
        assert log.lines == lines

    def test_the_loss_of_a_module_has_its_class_for_a_name(self):
        class Mean(nn.Module):
            def forward(self, outputs):
                return outputs.mean()

        with prepared(Request(net(), batch(), "train", loss=Mean()), CPU) as step:
            result = step.run()
        assert (result.loss_name, result.loss.item()) == ("Mean", pytest.approx(result.outputs.mean().item()))

    def test_without_an_observer_no_frame_stands_around_a_function(self):
        assert UNOBSERVED.reporting(len, "(loss)", "len") is len


class TestRun:
    def test_inference_has_neither_loss_nor_gradient(self):
        model = net().eval()
        expected = model(batch())
        with prepared(Request(model, batch()), CPU) as step:
            outputs, loss_name, loss = step.run()
        assert torch.equal(outputs, expected)
        assert (loss_name, loss, outputs.requires_grad) == (None, None, False)

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_a_generator_runs_to_its_end(self, mode):
        def forward(self, x):
            for scale in (1, 2, 3):
                yield scale * self.linear(x)

        with prepared(Request(Module(forward), batch(), mode), CPU) as step:
            outputs, loss_name, loss = step.run()
            gradient = step.model.parameters["linear.weight"].grad
        assert type(outputs) is list
        assert torch.equal(outputs[2], 3 * outputs[0])
        if mode == "train":
            assert loss_name == "sum"
            assert loss.item() == pytest.approx(6 * outputs[0].sum().item())
            assert torch.allclose(gradient, 6 * batch().sum(0).expand(3, 3), atol=1e-5)

    @pytest.mark.parametrize(
        ("loss", "kind"),
        [
            (lambda outputs: outputs, r"shape \(4, 5\)"),
            (lambda outputs: outputs.sum()[None], r"shape \(1,\)"),
            (lambda outputs: [outputs.sum()], "a list"),
            (lambda outputs: outputs.sum().item(), "a float"),
            (lambda _: None, "a NoneType"),
        ],
    )
    def test_a_loss_that_is_not_a_scalar(self, loss, kind):
        with (
            prepared(Request(net(), batch(), "train", loss=loss), CPU) as step,
            pytest.raises(InceptionLabError, match=rf"the loss <lambda> gave {kind}; return a scalar tensor"),
        ):
            step.run()

    def test_autocast_covers_the_forward_and_the_loss(self):
        dtypes = []

        def loss(outputs):
            dtypes.append((outputs @ outputs.T).dtype)
            return outputs.sum()

        request = Request(net(), batch(), "train", loss=loss, autocast=torch.bfloat16)
        with prepared(request, CPU) as step:
            assert step.run().outputs.dtype == torch.bfloat16
            assert not torch.is_autocast_enabled("cpu")
        assert dtypes == [torch.bfloat16]


class TestNestedRuns:
    def test_of_one_model(self):
        model = net().train()
        before = fingerprint(model)
        with prepared(Request(model, batch(), "train"), CPU) as outer:
            outer_weight = model[0].weight
            with prepared(Request(model, (2, 3)), META) as inner:
                assert inner.run().outputs.is_meta
                assert model[0].weight.is_meta
                assert not model.training
                assert not torch.is_grad_enabled()
            assert model[0].weight is outer_weight
            assert model.training
            assert torch.is_grad_enabled()
            assert not gc.isenabled()
            assert outer.run().loss.requires_grad
        assert same(before, fingerprint(model))

    def test_of_a_model_within_the_forward_of_another(self):
        inner_model = net().eval()

        def forward(self, x):
            with prepared(Request(inner_model, batch()), CPU) as step:
                inner_outputs.put(step.run().outputs)
            return self.linear(x)

        inner_outputs = SimpleQueue()  # from which a run takes nothing out again
        with prepared(Request(Module(forward), batch(), "train"), CPU) as step:
            assert step.run().loss.requires_grad
        assert torch.equal(inner_outputs.get(), inner_model(batch()))


class TestRequest:
    @pytest.mark.parametrize(
        ("arguments", "options", "line"),
        [
            ((nn.Linear,), {}, "a type is not a torch.nn.Module; pass a model"),
            (("vgg16",), {}, "a str is not a torch.nn.Module; pass a model"),
            ((None,), {}, "a NoneType is not a torch.nn.Module; pass a model"),
            ((nn.ReLU(),), {"mode": "test"}, "unknown mode 'test'; use 'eval' or 'train'"),
            ((nn.ReLU(),), {"mode": None}, "unknown mode None; use 'eval' or 'train'"),
            (
                (nn.ReLU(),),
                {"autocast": torch.float64},
                "autocast to torch.float64; use torch.bfloat16 or torch.float16",
            ),
            (
                (nn.ReLU(),),
                {"optimizer": "sgd"},
                "an optimizer takes no step in eval mode; use mode='train'",
            ),
            (
                (nn.ReLU(),),
                {"optimizer": "adm", "mode": "train"},
                "no optimizer 'adm'; did you mean adam or adamw?",
            ),
        ],
    )
    def test_refusals(self, arguments, options, line):
        with pytest.raises(InceptionLabError) as refusal:
            request_of(*arguments, (1, 3), **options)
        assert (str(refusal.value), refusal.value.exit_code) == (line, 2)

    @pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_all_that_is_allowed(self, mode, autocast):
        request = Request(nn.ReLU(), (1, 3), mode, autocast=autocast)
        assert (request.training, request.name) == (mode == "train", "ReLU")

    def test_a_name_of_ones_own_and_an_optimizer_of_ones_own(self):
        request = request_of(nn.ReLU(), (1, 3), optimizer=torch.optim.Rprop, mode="train", name="mine")
        assert (request.name, request.optimizer.name) == ("mine", "Rprop")
        assert request.optimizer.make is torch.optim.Rprop

    def test_it_cannot_be_changed(self):
        with pytest.raises(FrozenInstanceError):
            Request(nn.ReLU(), (1, 3)).mode = "train"


class TestStep:
    def test_its_tensors_by_kind_and_name(self):
        model = net()
        with prepared(request_of(model, batch(), optimizer="momentum", mode="train"), CPU) as step:
            names = {kind: list(tensors) for kind, tensors in step.tensors}
        assert names == {
            "parameter": ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"],
            "buffer": ["1.running_mean", "1.running_var", "1.num_batches_tracked"],
            "input": ["0"],
            "optimizer state": [f"{path}.momentum_buffer" for path, _ in model.named_parameters()],
        }

    @pytest.mark.parametrize(
        ("model", "dtype"),
        [
            (nn.ReLU(), torch.float32),
            (nn.Linear(3, 3).double(), torch.float64),
            (nn.Linear(3, 3, dtype=torch.complex64), torch.complex64),
            (nn.ParameterList([nn.Parameter(torch.ones(1, dtype=torch.int8), requires_grad=False),
                               nn.Parameter(torch.ones(1, dtype=torch.float16))]), torch.float16),
        ],
    )  # fmt: skip
    def test_its_dtype_is_that_of_the_first_floating_parameter(self, model, dtype):
        with prepared(Request(model, (2, 3)), META) as step:
            assert step.dtype == dtype
            assert step.arguments.args[0].dtype == dtype
