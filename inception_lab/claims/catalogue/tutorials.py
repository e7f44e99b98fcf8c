"""Claims of tutorials, of a lecture, and of those who ask."""

from functools import partial
from math import inf

from inception_lab.claims.catalogue.sources import (
    BRIEF,
    LECTURE,
    TUTORIAL_A,
    TUTORIAL_B,
    TUTORIAL_C,
    TUTORIAL_E,
)
from inception_lab.claims.claim import Claim, Figure, by
from inception_lab.claims.quantity import about, between, exactly, printed, true

_BRANCH = {"module": "inception3a", "branch": "branch3"}

_brief = partial(Claim, source=BRIEF)
_a = partial(Claim, source=TUTORIAL_A)
_b = partial(Claim, source=TUTORIAL_B)
_c = partial(Claim, source=TUTORIAL_C)
_e = partial(Claim, source=TUTORIAL_E)
_lecture = partial(Claim, source=LECTURE)

CLAIMS = (
    _brief(
        id="7M",
        claim="GoogLeNet has 5 to 7 million parameters.",
        figures=(Figure(between(5e6, 7e6, "params", "5 to 7 million"), by("params", model="googlenet")),),
        note="Just below seven: 6,998,552 without the heads, which are there for training alone.",
        expected_verdict="confirmed",
    ),
    _brief(
        id="mul_ratio",
        claim="The 1x1 reduction makes the 5x5 branch of 3a about 10 times cheaper.",
        also=("tutorial A",),
        figures=(Figure(about(10), by("saving", **_BRANCH)),),
        note="True of this branch. Its module gains far less, for the 1x1 has nothing to reduce and the 3x3 "
        "reads half of the channels; the working has the module, all nine and the whole net.",
        expected_verdict="confirmed",
    ),
    _a(
        id="mul_naive",
        claim="A 5x5 from 192 to 32 channels on 28x28 costs 120,422,400 multiplies.",
        figures=(Figure(exactly(120_422_400, "macs"), by("branch_macs", **_BRANCH, side="naive")),),
        note="28 x 28 x 32 x 5 x 5 x 192.",
        expected_verdict="confirmed",
    ),
    _a(
        id="mul_reduced",
        claim="With a 1x1 to 16 channels before it, 12,443,648 multiplies.",
        figures=(Figure(exactly(12_443_648, "macs"), by("branch_macs", **_BRANCH, side="reduced")),),
        note="28 x 28 x 16 x 192 + 28 x 28 x 32 x 5 x 5 x 16.",
        expected_verdict="confirmed",
    ),
    _b(
        id="naive_120M",
        claim="The 5x5 of a naive module takes about 120 million operations.",
        figures=(Figure(printed("120M", "macs"), by("branch_macs", **_BRANCH, side="naive")),),
        note="Multiply-accumulates: each is two operations.",
        expected_verdict="confirmed",
    ),
    _b(
        id="params_4x",
        claim="In a module on 28x28x256 the 1x1s cut the parameters of the convolutions to a quarter.",
        figures=(Figure(printed("4"), by("free_module_saving")),),
        note="With the widths of the well-known lecture. Each large kernel reads 64 channels in place of "
        "256, a quarter; the 1x1s themselves have weights, too.",
        expected_verdict="confirmed under a reading: the 5x5 alone, its reduction apart",
    ),
    _b(
        id="aux_nodecay",
        claim="The released Caffe model does not discount the losses of the heads.",
        figures=(Figure(true("not discounted"), by("caffe_heads_undiscounted")),),
        note="Its training file has a loss_weight of 0.3 on both.",
        expected_verdict="contradicted",
    ),
    _b(
        id="pad012",
        claim="With stride 1 and padding 0, 1 and 2 the branches of 1x1, 3x3 and 5x5 give equal sizes.",
        figures=(Figure(true("equal sizes"), by("equal_sizes", model="googlenet")),),
        note="Half the kernel, rounded down, on each side.",
        expected_verdict="confirmed",
    ),
    _b(
        id="v3_no5x5",
        claim="Inception-v2 and v3 have two 3x3 in place of every 5x5.",
        also=("tutorial C",),
        figures=(
            Figure(exactly(0, "count"), by("kernels", model="inception_v2", size=(5, 5)), "5x5 left in v2"),
            Figure(exactly(0, "count"), by("kernels", model="inception_v3", size=(5, 5)), "5x5 left in v3"),
        ),
        note="The released v3 keeps a 5x5 in each of its three modules at 35x35, beside the two 3x3. The v2 "
        "here is a reconstruction.",
        expected_verdict="contradicted",
    ),
    _b(
        id="v2name",
        claim="Inception-v2 is the network with two 3x3 for each 5x5, v3 the one with 1xn and nx1.",
        also=("tutorial C",),
        figures=(
            Figure(exactly(0, "count"), by("kernels", model="inception_v2", size=(1, 7)), "1x7 in v2"),
            Figure(
                between(1, inf, "count", "some"),
                by("kernels", model="inception_v3", size=(1, 7)),
                "1x7 in v3",
            ),
        ),
        note="In the paper Inception-v2 has both, in different modules; v3 adds a factorised 7x7, a "
        "normalised head and other ways to train. The released v3 has 5x5, two 3x3 and 1x7, too.",
        expected_verdict="contradicted",
    ),
    _c(
        id="4M",
        claim="GoogLeNet has 4 million parameters against AlexNet's 60 million.",
        figures=(
            Figure(printed("4M", "params"), by("params", model="googlenet"), "GoogLeNet"),
            Figure(printed("60M", "params"), by("params", model="alexnet(grouped=True)"), "AlexNet"),
        ),
        note="Seven million and 61 million.",
        expected_verdict="contradicted",
    ),
    _c(
        id="fullyconv",
        claim="GoogLeNet has convolutions alone: the global average replaces linear layers.",
        figures=(Figure(exactly(0, "count"), by("linear_layer_count", model="googlenet")),),
        note="One linear layer is left, a classifier of 1,025,000 parameters; NIN is the net that has none.",
        expected_verdict="confirmed under a reading: without the classifier",
    ),
    _c(
        id="fc90",
        claim="Linear layers hold 90% of the parameters of AlexNet and VGG.",
        figures=(
            Figure(printed("90", "percent"), by("linear_share", models=("vgg16", "vgg19")), "VGG"),
            Figure(printed("90", "percent"), by("linear_share", models=("alexnet",)), "AlexNet"),
        ),
        note="Rather more in AlexNet.",
        expected_verdict="off by 6.6%",
    ),
    _c(
        id="faster",
        claim="Inception networks are 3 to 10 times faster than similar networks of other kinds.",
        figures=(Figure(between(3, 10), by("times_faster", model="googlenet", rivals=("vgg16", "alexnet"))),),
        note="Time depends on the machine, so it is measured where you ask for it: rounds of the networks "
        "take turns, on one image each. VGG-16 is the similar one, with a top-5 error near GoogLeNet's; "
        "AlexNet does less than half of the arithmetic and has nearly twice the error.",
        expected_verdict="not checkable here: a real run: --measure, in Python measure=True",
    ),
    _c(
        id="ir_same",
        claim="Both Inception-ResNets have the same blocks and the Reduction-A of v4; only widths differ.",
        figures=(
            Figure(
                true("same blocks"),
                by(
                    "same_blocks",
                    first="inception_resnet_v1",
                    second="inception_resnet_v2(reading=paper)",
                    pairs=(
                        ("block_a1", "block_a1"),
                        ("block_b1", "block_b1"),
                        ("block_c1", "block_c1"),
                        ("reduction_b", "reduction_b"),
                    ),
                ),
                "v1 and v2",
            ),
            Figure(
                true("same Reduction-A"),
                by(
                    "same_blocks",
                    first="inception_resnet_v1",
                    second="inception_v4",
                    pairs=(("reduction_a", "reduction_a"),),
                ),
                "v1 and v4",
            ),
        ),
        note="Kernels and strides of the blocks are the same, their widths are not. The stems differ: that "
        "of v2 is the stem of v4.",
        expected_verdict="confirmed",
    ),
    _e(
        id="gap0",
        claim="The global average pool has no parameters and takes 7x7x1024 to 1024 numbers.",
        figures=(
            Figure(
                exactly(0, "params"), by("layer_params", model="googlenet", layer="avgpool"), "parameters"
            ),
            Figure(
                exactly(7 * 7 * 1024, "count"),
                by("input_elements", model="googlenet", layer="avgpool"),
                "numbers in",
            ),
            Figure(
                exactly(1024, "count"),
                by("output_size", model="googlenet", layer="avgpool", axis=0),
                "numbers out",
            ),
        ),
        note="A linear layer from 7x7x1024 to 1024 would have 51 million weights.",
        expected_verdict="confirmed",
    ),
    _lecture(
        id="cs231n_naive",
        claim="A naive module of 128, 192 and 96 filters on 28x28x256 costs 854 million operations.",
        figures=(Figure(printed("854M", "macs"), by("free_module_macs", kind="naive")),),
        note="Multiply-accumulates.",
        expected_verdict="confirmed",
    ),
    _lecture(
        id="cs231n_reduced",
        claim="The same module with 1x1s to 64 channels costs 358 million operations.",
        figures=(Figure(printed("358M", "macs"), by("free_module_macs", kind="reduced")),),
        note="The six products of the slide add up to 271 million; with that of the 3x3 counted twice they "
        "make 358.",
        expected_verdict="off by 24.2%",
    ),
)
