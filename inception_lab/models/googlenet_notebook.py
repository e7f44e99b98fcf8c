"""GoogLeNet as a widely read notebook builds it: the table of 1409.4842, with habits of its own."""

from collections.abc import Iterator

from torch import Tensor, nn

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.models.blocks import AuxiliaryHead, ConvBlock, ConvStyle
from inception_lab.models.googlenet import head_places
from inception_lab.models.googlenet_modules import STEM_CHANNELS, TABLE, input_channels, reduced_module
from inception_lab.models.initialisation import initialise
from inception_lab.models.input_limits import InputLimits, check_input

OUTSIDE = ConvStyle(batch_norm=True, eps=1e-3)
"""Of the stem and of the heads' 1x1: no bias, batch normalisation, ReLU."""

INSIDE = ConvStyle(relu=False)
"""Of the modules: a bias, and nothing after it."""

LIMITS = InputLimits(3, 205, largest=252)
"""Sides from which the heads' pool, rounding up, makes the 4x4 that their linear layer needs."""

HEAD_AFTER = head_places(5)

# --------------------------------------------------------------------------------- the network


class GoogLeNetNotebook(nn.Module):
    """Stem, nine modules without ReLU, classifier, and heads that run in every mode.

    Images have sides of 205 to 252, as the heads take no others. The average before the classifier is
    global.

    Args:
        num_classes: Classes to tell apart.
        aux_logits: Add heads after 4a and 4d; without them the forward fails.
        dropout: Share dropped before the classifier.
        init_weights: Draw weights, with the variance that layers without ReLU keep; otherwise
            torch's own stay.
    """

    def __init__(self, *, num_classes: int, aux_logits: bool, dropout: float, init_weights: bool) -> None:
        super().__init__()
        for name, layer in (*_stem(), *_tower(num_classes, aux_logits)):
            self.add_module(name, layer)
        self._body = tuple(name for name, _ in self.named_children())
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(TABLE[-1].out_channels, num_classes)
        self.limits = LIMITS
        if init_weights:
            initialise(self, "linear")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the classifier, of the head after 4d and of the head after 4a, N x num_classes each.

        Raises:
            InceptionLabError: The network was built without heads, or cannot take images of this shape
                (exit code 3).
        """
        self._refuse_without_heads()
        check_input(images, self.limits, where=type(self).__name__, heads=False)
        x, heads = images, []
        for name in self._body:
            layer = getattr(self, name)
            if isinstance(layer, AuxiliaryHead):
                heads.append(layer(x))
            else:
                x = layer(x)
        first, second = heads
        return self.fc(self.dropout(self.avgpool(x).flatten(1))), second, first

    def _refuse_without_heads(self) -> None:
        if not any(isinstance(layer, AuxiliaryHead) for layer in self.children()):
            raise InceptionLabError(
                "built without heads, which its forward asks for in every mode",
                where=type(self).__name__,
                hint="build it with aux_logits=True",
                exit_code=MODEL_FAILED,
            )


def _stem() -> Iterator[tuple[str, nn.Module]]:
    yield "conv1", ConvBlock(3, 64, 7, stride=2, style=OUTSIDE)
    yield "pool1", nn.MaxPool2d(3, 2)
    yield "conv2_reduce", ConvBlock(64, STEM_CHANNELS, 1, style=OUTSIDE)
    yield "conv2", ConvBlock(STEM_CHANNELS, STEM_CHANNELS, 3, style=OUTSIDE)
    yield "pool2", nn.MaxPool2d(3, 2)


def _tower(num_classes: int, aux_logits: bool) -> Iterator[tuple[str, nn.Module]]:
    for row in TABLE:
        if row.name == "4a":
            yield "pool3", nn.MaxPool2d(3, 2)
        if row.name == "5a":
            yield "pool4", nn.MaxPool2d(3, 2, padding=1)
        yield f"inception{row.name}", reduced_module(row, input_channels(row.name), INSIDE)
        if aux_logits and row.name in HEAD_AFTER:
            yield HEAD_AFTER[row.name], AuxiliaryHead(row.out_channels, num_classes, OUTSIDE, dropout=0.4)


# ----------------------------------------------------------------------------------- the entry


def googlenet_notebook(
    *, num_classes: int = 1000, aux_logits: bool = True, dropout: float = 0.7, init_weights: bool = True
) -> GoogLeNetNotebook:
    """GoogLeNet as the notebook builds it, which leaves 1409.4842 in these points.

    * Modules have neither ReLU nor batch normalisation, only biases: all but their pools is linear. The
      stem and the heads' 1x1 have batch normalisation (eps 1e-3) and ReLU, and no bias.
    * The stem's 1x1 widens 64 channels to 192, so that its 3x3 sees 192; there is no LRN.
    * Max pools 3x3/2 round down, the last one with padding 1: grids of 55, 27, 13 and 7.
    * Dropout is 0.7 before the classifier and 0.4 in the heads; the paper has it the other way round.
    * It returns (main, second head, first head) in train and in eval mode alike, so that inference pays
      for the heads; built without heads, its forward fails.

    Args:
        num_classes: Classes to tell apart.
        aux_logits: Add heads after 4a and 4d; without them the forward fails.
        dropout: Share dropped before the classifier.
        init_weights: Draw weights; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net, image = googlenet_notebook(num_classes=10).eval(), torch.zeros(1, 3, 224, 224)
        >>> [logits.shape[1] for logits in net(image)]
        [10, 10, 10]
    """
    return GoogLeNetNotebook(
        num_classes=num_classes, aux_logits=aux_logits, dropout=dropout, init_weights=init_weights
    )
