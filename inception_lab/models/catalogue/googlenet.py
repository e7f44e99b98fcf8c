"""Cards of GoogLeNet and its counterparts."""

from functools import partial
from types import MappingProxyType

from inception_lab.models.card import Card, Option, Variant

GOOGLENET_OPTIONS = {
    "num_classes": Option(1000, "count", "classes that the classifier and the heads tell apart"),
    "aux_logits": Option(False, "flag", "build the auxiliary heads after 4a and 4d"),
    "dropout": Option(0.4, "fraction", "share dropped before the main classifier"),
    "init_weights": Option(True, "flag", "draw weights for ReLU networks; otherwise torch's own stay"),
}
_STUDY_OPTIONS = GOOGLENET_OPTIONS | {
    "batch_norm": Option(False, "flag", "normalise after each convolution, without its bias and LRN"),
}
_KINDS = ("reduced", "naive", "3x3", "stacked", "asymmetric")
_module = partial(Option, "reduced", "choice", choices=_KINDS)
_depth = partial(Option, kind="count", most=26)
_reduction = partial(Option, None, "multiplier", most=1)
_DESIGN_OPTIONS = _STUDY_OPTIONS | {
    "aux_logits": Option(False, "flag", "build the auxiliary heads after the first and fourth module of 4"),
    "module_3": _module("kind of the modules of stage 3"),
    "module_4": _module("kind of the modules of stage 4"),
    "module_5": _module("kind of the modules of stage 5"),
    "depth_3": _depth(2, meaning="modules in stage 3"),
    "depth_4": _depth(5, meaning="modules in stage 4"),
    "depth_5": _depth(2, meaning="modules in stage 5"),
    "width": Option(1.0, "multiplier", "factor on the filters of stem and modules", most=10),
    "reduction_3x3": _reduction("width of the 1x1 before each 3x3, as a share of the module's input"),
    "reduction_5x5": _reduction("width of the 1x1 before each 5x5, as a share of the module's input"),
    "reduction_pool": _reduction("width of the 1x1 after each pool, as a share of the module's input"),
    "input_size": Option(224, "count", "side of the images that it is built for", most=65_535),
}
_FACTORS_OPTIONS = _STUDY_OPTIONS | {
    "middle": Option(
        "output",
        "choice",
        "width between two factors: as the output, as the input, or their geometric mean",
        choices=("output", "input", "geometric"),
    ),
}

_googlenet = partial(
    Card,
    family="googlenet",
    title="Going deeper with convolutions",
    paper="1409.4842",
    year=2014,
    input_size=(3, 224, 224),
    smallest_input=31,
    options=MappingProxyType(GOOGLENET_OPTIONS),
)
_rethought = partial(
    _googlenet,
    title="Rethinking the Inception Architecture for Computer Vision",
    paper="1512.00567",
    year=2015,
    options=MappingProxyType(_FACTORS_OPTIONS),
)


_with_heads = partial(Variant, options={"aux_logits": True}, input_size=(3, 224, 224))

CARDS = (
    _googlenet(
        name="googlenet",
        follows="Table 1 and figure 3",
        params=6_998_552,
        macs=1_582_671_872,
        entry="googlenet:googlenet",
        notes="Biases, LRN and 5x5 branches, as in the paper; its stem is one dense 7x7.",
        variants=(_with_heads(params=13_378_280, macs=1_582_671_872),),
        options=MappingProxyType(_DESIGN_OPTIONS),
        top5_error=10.07,
        error_evaluation="one crop",
        error_source="1409.4842 Table 3: one net, one crop",
    ),
    _googlenet(
        name="googlenet_bn",
        follows="Table 1, normalised as in 1502.03167",
        params=7_005_832,
        macs=1_582_671_872,
        entry="googlenet:googlenet_bn",
        notes="Batch norm after each convolution instead of its bias and of LRN; still 5x5.",
    ),
    _googlenet(
        name="googlenet_3x3",
        follows="Table 1, as torchvision builds it",
        params=6_624_904,
        macs=1_498_376_192,
        variants=(_with_heads(params=13_004_888, macs=1_498_376_192),),
        smallest_input=15,
        entry="googlenet:googlenet_3x3",
        notes="3x3 in the 5x5 branch, batch norm with eps 1e-3, the fourth pool 2x2/2.",
    ),
    _googlenet(
        name="googlenet_naive",
        follows="figure 2a on the rows of Table 1",
        params=97_526_008,
        macs=12_568_061_056,
        entry="googlenet:googlenet_naive",
        options=MappingProxyType(_STUDY_OPTIONS),
        notes="No reductions, and the pool passes its input through: modules widen to 4944 channels.",
    ),
    _rethought(
        name="googlenet_v2",
        follows="figure 5 on the rows of 1409.4842 Table 1",
        params=7_284_232,
        macs=1_639_721_984,
        entry="googlenet:googlenet_v2",
        notes="Each 5x5 as two 3x3 of its width, dearer than the narrow 5x5; all else as googlenet.",
    ),
    _rethought(
        name="googlenet_v3",
        follows="figure 6 on the rows of 1409.4842 Table 1",
        params=6_843_928,
        macs=1_509_615_616,
        entry="googlenet:googlenet_v3",
        notes="Each 3x3 and 5x5 of a module as 1 x n, then n x 1; all else as googlenet.",
    ),
)
