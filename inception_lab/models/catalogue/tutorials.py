"""Cards of what widely read tutorials build under the name of GoogLeNet or Inception v1."""

from functools import partial
from types import MappingProxyType

from inception_lab.models.card import Card, Option


def _options(num_classes: int, dropout: float, where: str) -> dict[str, Option]:
    return {
        "num_classes": Option(num_classes, "count", "classes that it tells apart"),
        "dropout": Option(dropout, "fraction", f"share dropped before {where}"),
        "init_weights": Option(True, "flag", "draw weights from the fan-in; otherwise torch's own stay"),
    }


_HEADS = {"aux_logits": Option(True, "flag", "build the heads; without them its forward fails")}

_tutorial = partial(
    Card,
    family="tutorial",
    title="Going deeper with convolutions",
    paper="1409.4842",
    year=2014,
    input_size=(3, 224, 224),
)

CARDS: tuple[Card, ...] = (
    _tutorial(
        name="googlenet_notebook",
        follows="Table 1, as a PyTorch notebook builds it",
        params=13_608_488,
        macs=2_166_099_200,
        smallest_input=205,
        entry="googlenet_notebook:googlenet_notebook",
        options=MappingProxyType(_options(1000, 0.7, "the main classifier") | _HEADS),
        notes="Its heads run in eval mode too, so both figures count them; without, 7,228,504 parameters and "
        "2,157,726,976 MACs. Modules without ReLU and BN, stem 1x1 64 to 192, pools that round down, no LRN, "
        "dropouts swapped. Returns (main, second head, first head). Takes sides of 205 to 252.",
    ),
    _tutorial(
        name="googlenet_keras",
        follows="Table 1, as a book chapter builds it in Keras",
        params=7_738_728,
        macs=1_381_017_280,
        smallest_input=1,
        entry="googlenet_keras:googlenet_keras",
        options=MappingProxyType(_options(1000, 0.4, "the first linear layer")),
        notes="Four equal branches a module, two 1x1 for the 5x5, conv, ReLU, then BN, no stem 1x1, padding "
        "'same', a second linear layer. Gives probabilities.",
    ),
    _tutorial(
        name="inception_v1_two_class",
        follows="Table 1, as a PyTorch blog builds it for skin images",
        params=6_658_194,
        macs=1_552_714_240,
        smallest_input=23,
        entry="inception_v1_two_class:inception_v1_two_class",
        options=MappingProxyType(_options(2, 0.4, "the first linear layer")),
        notes="3x3 for the 5x5, bias and BN in modules alone, stem 1x1 padded by 1, pools 2x2/2, a second "
        "linear layer. Gives probabilities.",
    ),
    _tutorial(
        name="googlenet_cifar10",
        follows="Table 1, as a PyTorch blog builds it for CIFAR-10",
        input_size=(3, 32, 32),
        params=6_166_250,
        macs=1_521_756_160,
        smallest_input=29,
        entry="googlenet_cifar10:googlenet_cifar10",
        options=MappingProxyType(_options(10, 0.4, "the classifier")),
        notes="One 3x3 for the stem, two 3x3 for the 5x5, bias and BN, pools padded by 1, average of a fixed "
        "8x8. Takes sides of 29 to 32.",
    ),
)
