"""Figures of published implementations: counted on them, or printed in their documentation."""

from functools import partial

from inception_lab.claims.catalogue.sources import DISTILL, KERAS, PORTS, TIMM, TORCHVISION
from inception_lab.claims.claim import Claim, Figure, by
from inception_lab.claims.quantity import exactly, printed

_COUNTS = (
    # model, its title, parameters, MACs, note
    ("googlenet", "GoogLeNet", 6_998_552, 1_582_671_872, "As BVLC released it for Caffe."),
    ("googlenet_3x3", "GoogLeNet in torchvision", 6_624_904, 1_498_376_192, "3x3 where the paper has 5x5."),
    ("bn_inception", "BN-Inception", 11_194_984, 2_018_851_840, "576 channels in 4c and 4d, a dense 7x7."),
    ("inception_v3", "Inception-v3", 23_834_568, 5_713_216_096, "Without its auxiliary head."),
    ("inception_v4", "Inception-v4", 42_679_816, 12_253_974_624, "Without the auxiliary head of TF-Slim."),
    (
        "inception_resnet_v1",
        "Inception-ResNet-v1",
        22_756_328,
        6_206_361_696,
        "As drawn, 5, 10 and 5 blocks.",
    ),
    (
        "inception_resnet_v2",
        "Inception-ResNet-v2",
        55_843_464,
        13_155_794_016,
        "As released, 10, 20 and 10 blocks.",
    ),
    (
        "inception_resnet_v2(reading=paper)",
        "Inception-ResNet-v2 as drawn",
        32_433_928,
        9_257_953_632,
        "5, 10 and 5 blocks.",
    ),
    ("xception", "Xception", 22_855_952, 8_357_403_496, "Separable convolutions without biases."),
    ("alexnet", "AlexNet in one column", 61_100_840, 714_188_480, "At 224x224."),
    ("vgg16", "VGG-16", 138_357_544, 15_470_264_320, "Column D."),
    ("vgg19", "VGG-19", 143_667_240, 19_632_062_464, "Column E."),
    ("nin", "NIN for ImageNet", 7_595_176, 1_100_188_800, "As its authors released it."),
)
"""Trainable parameters, and MACs on the input of the card."""

_WITH_HEADS = (
    ("googlenet(aux_logits=True)", "GoogLeNet with both heads", 13_378_280, "3,188,840 and 3,190,888 more."),
    (
        "googlenet_3x3(aux_logits=True)",
        "GoogLeNet in torchvision with both heads",
        13_004_888,
        "As before training.",
    ),
    ("inception_v3(aux_logits=True)", "Inception-v3 with its head", 27_161_264, "3,326,696 more."),
    ("alexnet(grouped=True)", "AlexNet as in Caffe", 60_965_224, "In groups of two, at 227x227."),
)


def _slug(model: str) -> str:
    """The id of a model with keywords: of `nin(dropout=0)`, `nin_dropout_0`."""
    return "".join(c if c.isalnum() or c == "_" else "_" for c in model).strip("_")


def _params_claim(model: str, title: str, params: int, note: str) -> Claim:
    return Claim(
        id=f"params_{_slug(model)}",
        claim=f"{title} has {params:,} parameters.",
        source=PORTS,
        figures=(Figure(exactly(params, "params"), by("params", model=model)),),
        note=note,
        expected_verdict="confirmed",
    )


def _macs_claim(model: str, title: str, macs: int, note: str) -> Claim:
    return Claim(
        id=f"macs_{_slug(model)}",
        claim=f"{title} takes {macs:,} multiply-accumulates.",
        source=PORTS,
        figures=(Figure(exactly(macs, "macs"), by("macs", model=model)),),
        note=note,
        expected_verdict="confirmed",
    )


COUNTS = (
    *(_params_claim(model, title, params, note) for model, title, params, _, note in _COUNTS),
    *(_params_claim(*row) for row in _WITH_HEADS),
    *(_macs_claim(model, title, macs, note) for model, title, _, macs, note in _COUNTS),
)

_torchvision = partial(Claim, source=TORCHVISION)
_keras = partial(Claim, source=KERAS)
_timm = partial(Claim, source=TIMM)

_READING, _COUNTED_TOO = "confirmed under a reading", "with the running statistics"
_STATISTICS = "Keras counts running means and variances, too."
_NO_FACTORS = "Keras counts running means and variances, but its normalisation here has no factors."
_NO_NORMALISATION = "Without normalisation there is one way to count."

DOCUMENTATION = (
    _torchvision(
        id="torchvision_googlenet",
        claim="GoogLeNet has 6624904 parameters and 1.50 GFLOPS.",
        figures=(
            Figure(exactly(6_624_904, "params"), by("params", model="googlenet_3x3"), "parameters"),
            Figure(printed("1.50 B", "macs"), by("macs", model="googlenet_3x3"), "operations"),
        ),
        note="Its GFLOPS are multiply-accumulates. The network has 3x3 where the paper has 5x5.",
        expected_verdict="confirmed",
    ),
    *(
        _keras(
            id=f"keras_{model}",
            claim=f"{title} has {params:,} parameters.",
            figures=(Figure(exactly(params, "params"), by("params", model=model)),),
            note=note,
            expected_verdict=expected_verdict,
        )
        for model, title, params, note, expected_verdict in (
            ("xception", "Xception", 22_910_480, _STATISTICS, f"{_READING}: {_COUNTED_TOO}"),
            ("vgg16", "VGG16", 138_357_544, _NO_NORMALISATION, "confirmed"),
            ("vgg19", "VGG19", 143_667_240, _NO_NORMALISATION, "confirmed"),
            (
                "inception_v3",
                "InceptionV3",
                23_851_784,
                _NO_FACTORS,
                f"{_READING}: {_COUNTED_TOO}, without factors",
            ),
            (
                "inception_resnet_v2",
                "InceptionResNetV2",
                55_873_736,
                _NO_FACTORS,
                f"{_READING}: {_COUNTED_TOO}, without factors",
            ),
        )
    ),
    *(
        _timm(
            id=f"timm_{model}",
            claim=f"{title} has {params} parameters and takes {macs} multiply-accumulates.",
            figures=(
                Figure(printed(params, "params"), by("params", model=model), "parameters"),
                Figure(printed(macs, "macs"), by("macs", model=model), "operations"),
            ),
            note="At 299x299.",
            expected_verdict="confirmed",
        )
        for model, title, params, macs in (
            ("inception_v3", "Inception-v3", "23.8M", "5.7 B"),
            ("inception_v4", "Inception-v4", "42.7M", "12.3 B"),
        )
    ),
)

_FIELDS = (
    # model, its title, layer here, layer there, field, stride, padding
    ("alexnet(grouped=True)", "AlexNet v2", "pool5", "conv5 and its pool", 195, 32, 64),
    ("vgg16", "VGG-16", "pool5", "pool5", 212, 32, 90),
    ("inception_v3", "Inception-v3", "mixed_5d", "Mixed_5d", 127, 8, 50),
    ("inception_v3", "Inception-v3", "mixed_6e", "Mixed_6e", 927, 16, 442),
    ("inception_v3", "Inception-v3", "mixed_7c", "Mixed_7c", 1311, 32, 618),
    ("inception_resnet_v2", "Inception-ResNet-v2", "mixed_5b", "Mixed_5b", 63, 8, 18),
    ("inception_resnet_v2", "Inception-ResNet-v2", "conv6", "the end of its last stage", 3039, 32, 1482),
)

FIELDS = tuple(
    Claim(
        id=f"field_{_slug(model)}_{layer}",
        claim=f"At {where} of {title} a unit sees {field} pixels: stride {stride}, padding {padding}.",
        source=DISTILL,
        place="table",
        figures=tuple(
            Figure(
                exactly(value, "pixels"),
                by("receptive_field", model=model, layer=layer, fact=fact),
                fact.replace("_", " "),
            )
            for fact, value in (("receptive_field", field), ("stride", stride), ("padding", padding))
        ),
        note="Effective values from the input on, the same along height and width.",
        expected_verdict="confirmed",
    )
    for model, title, layer, where, field, stride, padding in _FIELDS
)

CLAIMS = (*COUNTS, *DOCUMENTATION, *FIELDS)
