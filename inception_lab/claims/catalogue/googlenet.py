"""Claims of "Going deeper with convolutions" (1409.4842)."""

from inception_lab.claims.catalogue.sources import GOOGLENET
from inception_lab.claims.claim import Claim, Figure, by
from inception_lab.claims.quantity import about, at_most, exactly, printed, true

SECTION_1 = (
    Claim(
        id="12x",
        claim="GoogLeNet has 12 times fewer parameters than AlexNet.",
        source=GOOGLENET,
        place="section 1",
        also=("1512.00567 section 1", "tutorial B", "tutorial C"),
        figures=(Figure(printed("12"), by("ratio", metric="params", of="alexnet", to="googlenet")),),
        note="Seven million parameters against 61 million make 8.7. Twelve needs the 5 million that are "
        "ascribed to GoogLeNet elsewhere, which no way to count gives.",
        expected_verdict="contradicted",
    ),
    Claim(
        id="1.5B",
        claim="GoogLeNet stays within 1.5 billion multiply-adds.",
        source=GOOGLENET,
        place="section 1",
        figures=(Figure(at_most("1.5 B", "macs"), by("macs", model="googlenet")),),
        note="The budget holds with the first layer that Table 1 counts, a separable 7x7. The network that "
        "was released has a dense one, 84 million MACs dearer.",
        expected_verdict="confirmed under a reading: first layer as a separable 7x7",
    ),
)

SECTION_5 = (
    Claim(
        id="22",
        claim="GoogLeNet is 22 layers deep, counting those with parameters.",
        source=GOOGLENET,
        place="section 5",
        also=("tutorials A to E",),
        figures=(Figure(exactly(22, "count"), by("depth", models=("googlenet",))),),
        note="Three convolutions in the stem, two in a row in each of nine modules, the classifier: 3 + 18 "
        "+ 1.",
        expected_verdict="confirmed",
    ),
    Claim(
        id="27",
        claim="With pools counted, GoogLeNet is 27 layers deep.",
        source=GOOGLENET,
        place="section 5",
        also=("tutorial C",),
        figures=(Figure(exactly(27, "count"), by("depth_with_pools", model="googlenet")),),
        note="Four pools that halve the grid and the global average. A module's own pool adds nothing: pool "
        "and projection are two layers, as are the reduction and the convolution beside them.",
        expected_verdict="confirmed",
    ),
    Claim(
        id="100",
        claim="GoogLeNet is made of about 100 building blocks.",
        source=GOOGLENET,
        place="section 5",
        figures=(Figure(about(100, "count"), by("building_blocks", model="googlenet")),),
        note="The paper says that the number depends on the machinery that counts. It is near 100 with "
        "everything but the activations, and the heads included.",
        expected_verdict="confirmed under a reading: all layers but activations, heads included",
    ),
    Claim(
        id="9mods",
        claim="Nine Inception modules, auxiliary heads on 4a and 4d.",
        source=GOOGLENET,
        place="section 5",
        also=("tutorial B", "tutorial C"),
        figures=(
            Figure(exactly(9, "count"), by("module_count", model="googlenet"), "modules"),
            Figure(
                true("heads on 4a and 4d"),
                by("head_inputs", model="googlenet", layers=("inception4a", "inception4d")),
                "heads",
            ),
        ),
        note="Two modules at 28x28, five at 14x14, two at 7x7.",
        expected_verdict="confirmed",
    ),
    Claim(
        id="auxw",
        claim="In training the losses of the heads count 0.3 each.",
        source=GOOGLENET,
        place="section 5",
        also=("tutorial C", "tutorial E"),
        figures=(Figure(exactly(0.3, "count"), by("loss_weight", model="googlenet")),),
        note="Read from a traced training step of this zoo; the released Caffe model has the same weights.",
        expected_verdict="confirmed",
    ),
    Claim(
        id="auxshape",
        claim="The heads' pool of 5x5 and stride 3 gives 4x4x512 behind 4a and 4x4x528 behind 4d.",
        source=GOOGLENET,
        place="section 5",
        figures=tuple(
            Figure(
                exactly(value, "count"),
                by(
                    "output_size",
                    model="googlenet(aux_logits=True)",
                    layer=f"{head}.pool",
                    axis=axis,
                    training=True,
                ),
                f"{name} behind {module}",
            )
            for head, module, channels in (("aux1", "4a", 512), ("aux2", "4d", 528))
            for axis, name, value in ((0, "channels", channels), (1, "height", 4), (2, "width", 4))
        ),
        note="14 cells hold four windows of five, three apart.",
        expected_verdict="confirmed",
    ),
)

NAIVE = Claim(
    id="naive_channels",
    claim="The pool of a naive module keeps all channels, so that modules get wider with depth.",
    source=GOOGLENET,
    place="section 4",
    also=("tutorial C", "tutorial E"),
    figures=(Figure(true("true of every module"), by("pool_passes_through", model="googlenet_naive")),),
    note="From 192 channels the nine modules widen to 4944, against 1024 with projections.",
    expected_verdict="confirmed",
)

TOP5 = Claim(
    id="top5",
    claim="Top-5 error of 6.67%, of 10.07% with one crop; the global average gains 0.6% of top-1 accuracy.",
    source=GOOGLENET,
    place="sections 5 and 7",
    also=("tutorial B", "tutorial C"),
    figures=tuple(
        Figure(printed(figure, "percent"), by("needs", what="training on ImageNet"), name)
        for figure, name in (
            ("6.67", "top-5 error, seven nets"),
            ("10.07", "top-5 error, one crop"),
            ("0.6", "gain of top-1 accuracy"),
        )
    ),
    note="Accuracy belongs to weights, not to a graph. The 6.67% are of seven networks and 144 crops.",
    expected_verdict="not checkable here: training on ImageNet",
)

_IN_BINARY_K = "confirmed under a reading: biases apart, K of 1024"

ROWS = (
    # row as printed, layers, parameters, operations, each with the verdict that is expected
    (
        "conv1",
        ("conv1",),
        "2.7K",
        "confirmed under a reading: separable",
        "34M",
        "confirmed under a reading: separable",
    ),
    (
        "conv2",
        ("conv2_reduce", "conv2"),
        "112K",
        _IN_BINARY_K,
        "360M",
        "confirmed",
    ),
    (
        "inception_3a",
        ("inception3a",),
        "159K",
        _IN_BINARY_K,
        "128M",
        "confirmed",
    ),
    (
        "inception_3b",
        ("inception3b",),
        "380K",
        _IN_BINARY_K,
        "304M",
        "confirmed",
    ),
    ("inception_4a", ("inception4a",), "364K", "off by 3.3%", "73M", "confirmed"),
    (
        "inception_4b",
        ("inception4b",),
        "437K",
        _IN_BINARY_K,
        "88M",
        "confirmed",
    ),
    ("inception_4c", ("inception4c",), "463K", "off by 10.2%", "100M", "confirmed"),
    ("inception_4d", ("inception4d",), "580K", "off by 4.4%", "119M", "confirmed"),
    ("inception_4e", ("inception4e",), "840K", "off by 3.4%", "170M", "confirmed"),
    ("inception_5a", ("inception5a",), "1072K", "off by 2.7%", "54M", "off by 5.4%"),
    ("inception_5b", ("inception5b",), "1388K", "off by 4.0%", "71M", "confirmed"),
    (
        "loss3/classifier",
        ("fc",),
        "1000K",
        _IN_BINARY_K,
        "1M",
        "confirmed",
    ),
)
"""The two cost columns of Table 1."""

_PARAMS = tuple(
    Figure(printed(p, "params"), by("row_params", layers=layers), row) for row, layers, p, *_ in ROWS
)
_MACS = tuple(
    Figure(printed(m, "macs"), by("row_macs", layers=layers), row) for row, layers, _, _, m, _ in ROWS
)

_INCONSISTENT = (
    "Its operations are those of the printed filters, its parameters are not: the column is inconsistent."
)
_NOTES = {
    "conv1": "A separable 7x7 of depth multiplier 8; the released net has a dense one of 9,408 weights.",
    "conv2": "The 1x1 before the 3x3, 64 to 64, is part of the row. In K of 1024, biases apart.",
    "inception_3b": "The printed filters give 379, one less than printed. K of 1024, biases apart.",
    "inception_4b": "The printed filters give 438, one more than printed. K of 1024, biases apart.",
    "inception_4a": "Slightly below what the printed filters give, under every reading.",
    "inception_4c": _INCONSISTENT,
    "inception_4d": _INCONSISTENT,
    "inception_4e": _INCONSISTENT,
    "inception_5a": "Not those of the printed filters, which are the filters of 4e; but with 7x7 positions "
    "they make the 54M that the row prints beside them.",
    "inception_5b": _INCONSISTENT,
}
"""On the parameters of rows that are not plainly in K of 1024."""

_OPERATION_NOTES = {
    "conv1": "A separable 7x7 of depth multiplier 8; the released net has a dense one, 118M.",
    "inception_5a": "Not those of the printed filters, but they agree with the 1072K that the row prints "
    "beside them.",
}

TABLE_1 = (
    Claim(
        id="table1_params",
        claim="All twelve rows of the parameters column of Table 1.",
        source=GOOGLENET,
        place="Table 1",
        figures=_PARAMS,
        note="The column counts weights without biases in K of 1024, and the first row a separable 7x7. The "
        "verdict is that of the worst row.",
        expected_verdict="off by 10.2%",
    ),
    *(
        Claim(
            id=f"table1_params_{row.replace('/', '_')}",
            claim=f"Row {row} of Table 1 has {figure.claimed.text} parameters.",
            source=GOOGLENET,
            place="Table 1",
            figures=(Figure(figure.claimed, figure.recipe),),
            note=_NOTES.get(row, "In K of 1024, biases apart."),
            expected_verdict=expected_verdict,
        )
        for (row, _, _, expected_verdict, *_), figure in zip(ROWS, _PARAMS, strict=True)
    ),
    Claim(
        id="table1_ops",
        claim="All twelve rows of the operations column of Table 1.",
        source=GOOGLENET,
        place="Table 1",
        figures=_MACS,
        note="Operations are multiply-accumulates, in millions, and the first row counts a separable 7x7. "
        "The verdict is that of the worst row.",
        expected_verdict="off by 5.4%",
    ),
    *(
        Claim(
            id=f"table1_ops_{row.replace('/', '_')}",
            claim=f"Row {row} of Table 1 takes {figure.claimed.text} operations.",
            source=GOOGLENET,
            place="Table 1",
            figures=(Figure(figure.claimed, figure.recipe),),
            note=_OPERATION_NOTES.get(row, "In millions of multiply-accumulates."),
            expected_verdict=expected_verdict,
        )
        for (row, *_, expected_verdict), figure in zip(ROWS, _MACS, strict=True)
    ),
)

CLAIMS = (*SECTION_1, NAIVE, *SECTION_5, TOP5, *TABLE_1)
