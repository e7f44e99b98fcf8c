"""Cards of BN-Inception, Inception-v2 and Inception-v3."""

from functools import partial
from types import MappingProxyType

from inception_lab.models.card import Card, Option, Variant

_OPTIONS = {
    "num_classes": Option(1000, "count", "classes that the classifier and the head tell apart"),
    "aux_logits": Option(False, "flag", "build the auxiliary head on the last 17 x 17 grid"),
    "dropout": Option(0.2, "fraction", "share dropped before the main classifier"),
    "init_weights": Option(True, "flag", "draw weights for ReLU networks; otherwise torch's own stay"),
}
_BN_OPTIONS = {
    "num_classes": Option(1000, "count", "classes that the classifier tells apart"),
    "dropout": Option(0.0, "fraction", "share dropped before the classifier"),
    "init_weights": _OPTIONS["init_weights"],
}
_LAST_POOL = {
    "last_pool": Option(
        "max",
        "choice",
        "pool of the last module: as first released, or as in TF-Slim, torchvision and timm",
        choices=("max", "average"),
    ),
}

_rethought = partial(
    Card,
    family="inception",
    title="Rethinking the Inception Architecture for Computer Vision",
    paper="1512.00567",
    year=2015,
    input_size=(3, 299, 299),
    smallest_input=75,
)

CARDS: tuple[Card, ...] = (
    Card(
        name="bn_inception",
        family="inception",
        title="Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
        paper="1502.03167",
        follows="figure 5",
        year=2015,
        input_size=(3, 224, 224),
        params=11_194_984,
        macs=2_018_851_840,
        smallest_input=7,
        entry="bn_inception:bn_inception",
        options=MappingProxyType(_BN_OPTIONS),
        notes="Pool projections of 96 in 4c and 4d, as in released nets: the figure prints 128, which makes "
        "608 channels where it prints 576. The stem's 7x7 is dense, the paper's is separable. The text "
        "speaks of 13.6 M parameters.",
        top1_error=25.2,
        top5_error=7.8,
        error_evaluation="one crop",
        error_source="1512.00567 Table 3, one crop and one net",
    ),
    _rethought(
        name="inception_v2",
        follows="Table 1 and figures 5 to 7, a reconstruction",
        params=24_027_240,
        macs=5_576_975_456,
        entry="inception_v2:inception_v2",
        options=MappingProxyType(_OPTIONS),
        notes="A reconstruction: the widths inside the modules were never published. Here they are those of "
        "the released Inception-v3 on the same grid, 3x3 for its 5x5; the third of the 3 and the fifth "
        "of the 5 modules halve the grid. Table 3 gives 4.8 billion operations.",
        reconstructed=True,
        top1_error=21.6,
        top5_error=5.8,
        error_evaluation="one crop",
        error_source="1512.00567 Table 3, Inception-v2 with factorized 7x7, one crop and one net; the "
        "paper's network, not this reconstruction",
    ),
    _rethought(
        name="inception_v3",
        follows="the released network; figures 6 and 7",
        params=23_834_568,
        macs=5_713_216_096,
        variants=(
            Variant(
                options={"aux_logits": True}, params=27_161_264, macs=5_713_216_096, input_size=(3, 299, 299)
            ),
        ),
        entry="inception_v3:inception_v3",
        options=MappingProxyType(_OPTIONS | _LAST_POOL),
        notes="As released, which is not Table 1: 5x5 stay at 35 x 35, and there is a module more. Batch "
        "norm has eps 1e-3, average pools count their padding. Table 3 gives 4.8 billion operations.",
        top1_error=21.2,
        top5_error=5.6,
        error_evaluation="one crop",
        error_source="1512.00567 Table 3, Inception-v2 with BN-auxiliary, one crop and one net",
    ),
)
