"""Claims of "Rethinking the Inception Architecture for Computer Vision" (1512.00567)."""

from functools import partial

from inception_lab.claims.catalogue.sources import RETHINKING
from inception_lab.claims.claim import Claim, Figure, by
from inception_lab.claims.quantity import about, at_most, exactly, printed, true

_claim = partial(Claim, source=RETHINKING)

PARAMETERS = (
    _claim(
        id="5M",
        claim="GoogLeNet has 5 million parameters.",
        place="section 1",
        also=("tutorial D",),
        figures=(Figure(printed("5M", "params"), by("params", model="googlenet")),),
        note="Seven million. Even without its classifier it has six.",
        expected_verdict="contradicted",
    ),
    _claim(
        id="vgg3x",
        claim="VGG has about three times the parameters of AlexNet.",
        place="section 1",
        figures=(Figure(about(3), by("ratio", metric="params", of="vgg16", to="alexnet")),),
        note="138 million against 61 million.",
        expected_verdict="off by 24.5%",
    ),
    _claim(
        id="4x_double",
        claim="Twice the filters in every layer cost four times the parameters and the computation.",
        place="section 1",
        figures=(
            Figure(printed("4"), by("doubled", metric="params", model="googlenet"), "parameters"),
            Figure(printed("4"), by("doubled", metric="macs", model="googlenet"), "operations"),
        ),
        note="True of each layer between two that double. The first layer keeps three colours and the "
        "classifier its classes, so that a whole net grows by less.",
        expected_verdict="confirmed under a reading: a layer between two that double",
    ),
)

FACTORS = (
    _claim(
        id="2.78",
        claim="A 5x5 convolution costs 2.78 times a 3x3 of as many filters.",
        place="section 3.1",
        also=("tutorial B", "tutorial C"),
        figures=(Figure(printed("2.78"), by("kernel_ratio", kernels=((5, 5),), over=((3, 3),))),),
        note="25 / 9.",
        expected_verdict="confirmed",
    ),
    _claim(
        id="28",
        claim="Two 3x3 in place of a 5x5 save 28%.",
        place="section 3.1",
        figures=(
            Figure(printed("28", "percent"), by("kernel_saving", kernels=((3, 3), (3, 3)), over=((5, 5),))),
        ),
        note="1 - 18 / 25, where all three are equally wide. In GoogLeNet's own table the 5x5 reads fewer "
        "channels than it gives, and a second 3x3 of its full width costs more than it saves.",
        expected_verdict="confirmed",
    ),
    _claim(
        id="33",
        claim="A 3x1 and a 1x3 in place of a 3x3 save 33%; two 2x2 only 11%.",
        place="section 3.2",
        figures=(
            Figure(
                printed("33", "percent"),
                by("kernel_saving", kernels=((3, 1), (1, 3)), over=((3, 3),)),
                "3x1 and 1x3",
            ),
            Figure(
                printed("11", "percent"),
                by("kernel_saving", kernels=((2, 2), (2, 2)), over=((3, 3),)),
                "two 2x2",
            ),
        ),
        note="1 - 6 / 9 and 1 - 8 / 9.",
        expected_verdict="confirmed",
    ),
    _claim(
        id="m1220",
        claim="Factors 1xn and nx1 work well on grids of 12 to 20 cells, with n = 7 at 17x17.",
        place="section 3.2",
        also=("tutorial B",),
        figures=(
            Figure(
                true("n = 7 at 17x17"),
                by("factors_on_grid", model="inception_v3", grids=(12, 20), length=7, side=17),
                "where they are",
            ),
            Figure(true("works well"), by("needs", what="training on ImageNet"), "grids of 12 to 20"),
        ),
        note="The released net has them at 17x17: four modules and a reduction. That they work there and "
        "not earlier is a matter of accuracy.",
        expected_verdict="not checkable here: training on ImageNet",
    ),
    _claim(
        id="grid",
        claim="Halving the grid before the convolution cuts the cost by a quarter; the other order is 3 "
        "times more expensive.",
        place="section 5",
        figures=(
            Figure(printed("25", "percent"), by("grid_saving"), "cut"),
            Figure(printed("3"), by("grid_ratio"), "the other order"),
        ),
        note="A quarter is what is left, not what is saved; and four times as expensive is three times more "
        "expensive.",
        expected_verdict="confirmed under a reading: reduced to; times more expensive",
    ),
)

STRUCTURE = (
    _claim(
        id="42",
        claim="Inception-v2, and v3 with it, is 42 layers deep.",
        place="section 6",
        figures=(Figure(exactly(42, "count"), by("depth", models=("inception_v2", "inception_v3"))),),
        note="The longest path is longer: a 17x17 module has five convolutions in a row. Widths are not "
        "published, but depth does not depend on them.",
        expected_verdict="off by 9.5%",
    ),
    _claim(
        id="v3_names",
        claim="Table 1 has three modules as in figure 5, five as in figure 6 and two as in figure 7.",
        place="section 6",
        figures=(
            Figure(exactly(3, "count"), by("modules_at", models=("inception_v2",), side=35), "at 35x35"),
            Figure(exactly(5, "count"), by("modules_at", models=("inception_v2",), side=17), "at 17x17"),
            Figure(exactly(2, "count"), by("modules_at", models=("inception_v2",), side=8), "at 8x8"),
        ),
        note="Read from the reconstruction of that table, whose printed sizes hold. The text of the same "
        "section speaks of five and two modules, of figures 5 and 6.",
        expected_verdict="confirmed",
    ),
    _claim(
        id="v3_names_text",
        claim="The text of section 6 has five modules as in figure 5 and two as in figure 6.",
        place="section 6",
        figures=(
            Figure(
                exactly(5, "count"),
                by("modules_by_figure", model="inception_v2", sides=(35, 17)),
                "modules of figure 5",
            ),
            Figure(
                exactly(2, "count"),
                by("modules_by_figure", model="inception_v2", sides=(17, 8)),
                "modules of figure 6",
            ),
        ),
        note="The numbers of modules are those of Table 1, five at 17x17 and two at 8x8; the text is one "
        "figure behind, as Table 1 calls these modules figures 6 and 7.",
        expected_verdict="confirmed under a reading: one figure on, as Table 1 counts",
    ),
)

COSTS = (
    _claim(
        id="2.5x",
        claim="The new network computes about 2.5 times as much as GoogLeNet.",
        place="section 6",
        figures=(
            Figure(
                about(2.5),
                by(
                    "ratios_beside",
                    metric="macs",
                    pairs=(
                        ("inception_v3", "googlenet"),
                        ("inception_v3", "bn_inception"),
                        ("inception_v2", "googlenet"),
                    ),
                    what="the widths of Inception-v2, which are not published",
                ),
            ),
        ),
        note="Section 6 means Inception-v2, for which Table 3 has 3.8 billion operations against GoogLeNet's "
        "1.5 billion, 2.5 times as many. The released v3 takes 3.6 times as many as GoogLeNet, on 299x299 "
        "against 224x224; so does, nearly, the v2 here, a reconstruction with the widths of v3.",
        expected_verdict="not checkable here: the widths of Inception-v2, which are not published",
    ),
    _claim(
        id="5B",
        claim="Inception-v3 takes 5 billion multiply-adds and fewer than 25 million parameters.",
        place="abstract",
        figures=(
            Figure(printed("5 B", "macs"), by("macs", model="inception_v3"), "operations"),
            Figure(at_most("25 M", "params"), by("params", model="inception_v3"), "parameters"),
        ),
        note="The released network takes 5.7 billion at 299x299.",
        expected_verdict="off by 14.3%",
    ),
    _claim(
        id="v3_4.8B",
        claim="Inception-v3 costs 4.8 billion operations.",
        place="Table 3",
        figures=(Figure(printed("4.8 B", "macs"), by("macs", model="inception_v3")),),
        note="The released network takes 5.7 billion at 299x299.",
        expected_verdict="off by 19.0%",
    ),
    _claim(
        id="googlenet_1.5B",
        claim="GoogLeNet costs 1.5 billion operations.",
        place="Table 3",
        figures=(Figure(printed("1.5 B", "macs"), by("macs", model="googlenet")),),
        note="With the separable first layer that its own Table 1 counts.",
        expected_verdict="confirmed under a reading: first layer as a separable 7x7",
    ),
    _claim(
        id="bn_cost2",
        claim="BN-Inception costs 2.0 billion operations.",
        place="Table 3",
        figures=(Figure(printed("2.0 B", "macs"), by("macs", model="bn_inception")),),
        note="With a dense 7x7, as released.",
        expected_verdict="confirmed",
    ),
)

CLAIMS = (*PARAMETERS, *FACTORS, *STRUCTURE, *COSTS)
