"""The call of a module, and the launch, that each piece of GPU work belongs to."""

from support.profile_traces import AUTOGRAD, annotation, flow, kernel, launch, operator, write_trace

from inception_lab.measure.profile.attribution import attribute
from inception_lab.measure.profile.events import LAYER_RANGE
from inception_lab.measure.profile.profile import read_events


def test_two_calls_of_one_module_own_the_kernels_of_each_and_of_its_backward(tmp_path):
    path = write_trace(
        tmp_path / "trace.json",
        [
            annotation(LAYER_RANGE + "conv", 0, 10),
            operator("aten::conv2d", 1, 9),
            launch(1, 2),
            annotation(LAYER_RANGE + "conv", 20, 30),
            operator("aten::conv2d", 21, 29),
            launch(2, 22),
            operator("ConvolutionBackward0", 50, 60, AUTOGRAD),
            launch(3, 52, AUTOGRAD),
            *flow(9, 21, 50),
            kernel(1, 5, 8),
            kernel(2, 25, 28),
            kernel(3, 55, 58),
            kernel(4, 59, 60),
        ],
    )
    events = read_events(path)
    attribution = attribute(events)
    calls = [None if o.call is None else events.ranges[o.call].start // 1000 for o in attribution.owners]
    assert calls == [0, 20, 20, None]
    launches = [None if i is None else events.launches[i].start // 1000 for i in attribution.launches]
    assert launches == [2, 22, 52, None]
