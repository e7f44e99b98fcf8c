"""Nets that strain a report: of no cost, of long names, of many layers, of other axes than two."""

from __future__ import annotations

from collections.abc import Callable

from inception_lab.report.contents import ReportContents
from support.report_nets import EVERYTHING, MISALIGNED, field, fit, layer, moment, net, step

LONG = "a_module_whose_name_is_far_longer_than_there_is_room_for_in_any_plot_number_"

WEIRD: dict[str, Callable[[], ReportContents]] = {
    "chain": lambda: net([layer("features", macs=640, params=10), layer("classifier", macs=64, params=90)]),
    "one layer": lambda: net([layer("(model)", macs=64, params=2)]),
    "500 layers": lambda: net([layer(str(n), macs=64, params=n) for n in range(500)]),
    "long names": lambda: net(
        [layer(f"{LONG}{n}", f"{LONG}{b}", 640, 9, naive=6400 * n) for n in range(3) for b in range(9)],
        LONG * 3,
    ),
    "no MACs": lambda: net([layer("embed", params=90), layer("norm", params=2)]),
    "no parameters": lambda: net([layer("product", macs=640)]),
    "nothing": lambda: net([layer("relu"), layer("pool")]),
    "markup": lambda: net(
        [layer("$x_1^2$ | *a* <b>\n", "`$", 64, 1, naive=640), layer("$", "%", 64, 1)], "a|b $c$"
    ),
    "unexecuted": lambda: net([layer("stem", macs=64, params=1), layer("aux_head", executed=False)]),
    "partial": lambda: net([layer("stem", macs=64)], uncounted_ops=[{"name": "aten.fft", "count": 3}]),
    "dearer with reductions": lambda: net([layer("m", b, 640, 9, naive=64) for b in "ab"]),
    "many branches": lambda: net(
        [layer(f"m{n}", f"b{n}_{b}", 64, 9, naive=640) for n in range(45) for b in range(3)]
    ),
    "misaligned": lambda: net(
        [layer("stem", macs=9, fields=field(3, 3)), layer("mix", "a", 9, fields=MISALIGNED)],
        resolution=fit(8, 8, beyond=["mix.a.conv"], last="mix.a.conv"),
        mixing=[("mix", axis, {3: 1, 300: 1}) for axis in (0, 1)],
    ),
    "nothing known": lambda: net([layer("mix", "a", 9, fields=MISALIGNED)], resolution=fit(8, 8, last=None)),
    "no convolution": lambda: net(
        [layer("embed", params=9, fields=field(1, stride=1))],
        resolution=fit(8),
        mixing=[("embed", 0, {1: 4})],
    ),
    "sees everything": lambda: net([layer("fc", macs=9, fields=EVERYTHING)], resolution=fit(8, 8, last=None)),
    "1-d": lambda: net(
        [layer("stem", macs=9, fields=field(3, stride=1)), layer("mix", "a", 9, fields=field(19, stride=1))],
        resolution=fit(500, last="mix.a.conv"),
        mixing=[("mix", 0, {3: 32, 19: 32, 39: 32})],
    ),
    "3-d": lambda: net(
        [layer("stem", macs=9, fields=field(1, 7, 7)), layer("mix", "a", 9, fields=field(3, 11, 11))],
        resolution=fit(16, 112, 113, beyond=["mix.a.conv"], last="mix.a.conv"),
        mixing=[("mix", 0, {1: 2, 3: 2}), ("mix", 1, {7: 2, 11: 2}), ("mix", 2, {7: 2, 11: 2})],
    ),
    "3 axes that differ": lambda: net(
        [layer("mix", "a", 9, fields=field(3, 5, 7)), layer("mix", "b", 9, fields=field(9, 9, 9))],
        resolution=fit(15, 16, 17, last="mix.b.conv"),
        mixing=[("mix", axis, {3 + axis: 2, 9: 2}) for axis in range(3)],
    ),
    "many fields": lambda: net(
        [layer(f"{LONG}{n}", "a", 9, fields=field(9 + n, 5 + n)) for n in range(62)],
        LONG * 2,
        [
            (f"{LONG}{n}", axis, {2 * k + axis + 1: k + 1 for k in range(n % 9 + 2)})
            for n in range(62)
            for axis in (0, 1)
        ],
        fit(99999, 99998),
    ),
    "one operation": lambda: net([layer("fc", macs=9)], moments=[moment("fc", parameters=36)]),
    "one layer's step": lambda: net([layer("fc", macs=9)], moments=step(["fc.act"], 1), mode="train"),
    "a long step": lambda: net(
        [layer(f"m{n}", macs=9) for n in range(90)],
        moments=step([f"m{n // 10}.conv{n}" for n in range(900)], 9000),
        mode="train",
        optimizer="adamw",
    ),
    "a step of long names": lambda: net(
        [layer(f"{LONG}{n}", macs=9) for n in range(9)],
        LONG,
        moments=step([f"{LONG}{n % 9}.{LONG * 2}" for n in range(9)], 9),
        mode="train",
        optimizer=LONG,
    ),
    "peaks first": lambda: net(
        [layer("a", macs=9)], moments=[moment("a.b", temporaries=2**40 - n) for n in range(99)]
    ),
    "peaks last": lambda: net(
        [layer("a", macs=9)], moments=[moment(f"{LONG}.b", temporaries=n + 1) for n in range(99)]
    ),
    "holds nothing": lambda: net([layer("a")], moments=[moment("a")]),
}
