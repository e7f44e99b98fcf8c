"""Claims about gradients: why there are heads and batch normalisation."""

from math import inf

from inception_lab.claims.catalogue.sources import BATCH_NORM, GOOGLENET, TUTORIAL_B
from inception_lab.claims.claim import Claim, Figure, by
from inception_lab.claims.quantity import at_most, between, true

NEEDS = "not checkable here: a real run: --measure, in Python measure=True"

_DRAWN = (
    ("weights drawn for ReLUs", "googlenet(aux_logits=True)"),
    ("PyTorch's default weights", "googlenet(aux_logits=True, init_weights=False)"),
)

CLAIMS = (
    Claim(
        id="vanishing",
        claim="In a network as deep as GoogLeNet the gradient vanishes on its way to the first layers.",
        source=TUTORIAL_B,
        also=("tutorials A, C, D and E",),
        figures=(
            Figure(
                at_most("0.001"),
                by("gradient_decay", variants=_DRAWN, first="conv1", last="inception5b"),
                "first convolution over last module",
            ),
        ),
        note="To vanish is taken to mean: to a thousandth or less, relative to the weights, as modules have "
        "unlike numbers of them. It is a matter of how weights are drawn. By the rule for ReLUs (He et al. "
        "2015) a good part of it arrives, by PyTorch's default, which shrinks activations too, next to "
        "nothing. So it is at initialisation, on made images, which says little of training.",
        expected_verdict=NEEDS,
    ),
    Claim(
        id="aux_gradient",
        claim="The auxiliary heads increase the gradient signal that reaches the lower stages.",
        source=GOOGLENET,
        place="section 5",
        also=("tutorials A, C, D and E",),
        figures=(
            Figure(
                between(1.1, inf, "ratio", "at least 1.1"),
                by("gradient_added_by_heads", variants=_DRAWN, module="conv1"),
                "first convolution, with heads over without",
            ),
        ),
        note="A tenth is taken for the least increase. Where the main loss's gradient arrives, the heads at "
        "0.3 add little to it; where it vanishes, theirs is nearly all that the first layers get. So "
        "it is at initialisation, on made images; what heads do in a long training is not checked.",
        expected_verdict=NEEDS,
    ),
    Claim(
        id="bn_gradient",
        claim="Batch normalisation makes gradients depend less on the scale of initial weights.",
        source=BATCH_NORM,
        place="section 1",
        figures=(
            Figure(
                true("less"),
                by(
                    "gradient_depends_less",
                    plain=tuple(model for _, model in _DRAWN),
                    normalised=(
                        "googlenet_bn(aux_logits=True)",
                        "googlenet_bn(aux_logits=True, init_weights=False)",
                    ),
                    module="conv1",
                ),
            ),
        ),
        note="The gradient of the first convolution's weights under two ways to draw weights, with and "
        "without normalisation, at initialisation, on made images.",
        expected_verdict=NEEDS,
    ),
)
