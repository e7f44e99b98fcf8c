"""Cards of Inception-v4, the Inception-ResNets and Xception."""

from functools import partial
from types import MappingProxyType

from inception_lab.models.card import Card, Option, Variant

_OPTIONS = {
    "num_classes": Option(1000, "count", "classes that the classifier tells apart"),
    "dropout": Option(0.2, "fraction", "share dropped before the classifier"),
    "init_weights": Option(True, "flag", "draw weights for ReLU networks; otherwise torch's own stay"),
}
_SCALE = {
    "scale": Option(None, "factor", "factor of the residual of every block, in place of those published"),
}
_READING = {
    "reading": Option(
        "released",
        "choice",
        "as released in TF-Slim, or as drawn in the paper's figures",
        choices=("released", "paper"),
    ),
}

_szegedy_2016 = partial(
    Card,
    title="Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
    paper="1602.07261",
    year=2016,
    input_size=(3, 299, 299),
    smallest_input=75,
    options=MappingProxyType(_OPTIONS),
    error_evaluation="one crop",
    error_images="the non-blacklisted validation images",
    error_source="1602.07261 Table 2, one crop and one net, on the non-blacklisted validation images",
)

CARDS = (
    _szegedy_2016(
        name="inception_v4",
        family="inception",
        follows="figures 3 to 9",
        params=42_679_816,
        macs=12_253_974_624,
        entry="inception_v4:inception_v4",
        notes="1x7 and 7x1 in the order of the released net, which in the stem is not that of figure 3. "
        "Average pools leave the padding out of the mean. TF-Slim's auxiliary head is left out.",
        top1_error=20.0,
        top5_error=5.0,
    ),
    _szegedy_2016(
        name="inception_resnet_v1",
        family="inception_resnet",
        follows="figures 7 and 10 to 15",
        params=22_756_328,
        macs=6_206_361_696,
        entry="inception_resnet:inception_resnet_v1",
        options=MappingProxyType(_SCALE | _OPTIONS),
        notes="Blocks 5/10/5 as drawn. The paper says of the residual scales only that they lie between "
        "0.1 and 0.3; here 0.17, 0.10 and 0.20, as in the released v2.",
        top1_error=21.3,
        top5_error=5.5,
    ),
    _szegedy_2016(
        name="inception_resnet_v2",
        family="inception_resnet",
        follows="the TF-Slim release; figures 3, 7 and 15 to 19 as an option",
        params=55_843_464,
        macs=13_155_794_016,
        variants=(
            Variant(
                options={"reading": "paper"}, params=32_433_928, macs=9_257_953_632, input_size=(3, 299, 299)
            ),
        ),
        entry="inception_resnet:inception_resnet_v2",
        options=MappingProxyType(_READING | _SCALE | _OPTIONS),
        notes="As released: its own stem, blocks 10/20/10, a 1x1 to 1536. reading=paper: the v4 stem and "
        "5/10/5, 32,433,928 parameters and 9,257,953,632 MACs; its figures print 1154 and 2048 channels "
        "where 1152 and 2144 are needed. TF-Slim's auxiliary head is left out, as the ports do.",
        top1_error=19.9,
        top5_error=4.9,
    ),
    Card(
        name="xception",
        family="xception",
        title="Xception: Deep Learning with Depthwise Separable Convolutions",
        paper="1610.02357",
        follows="figure 5",
        year=2016,
        input_size=(3, 299, 299),
        params=22_855_952,
        macs=8_357_403_496,
        smallest_input=7,
        entry="xception:xception",
        options=MappingProxyType(
            _OPTIONS | {"dropout": Option(0.5, "fraction", "share dropped before the classifier")}
        ),
        notes="Strided pools pad both sides and batch norm has eps 1e-5, as in the PyTorch port; the Keras "
        "release pads even grids at the end alone and has 1e-3.",
        top1_error=21.0,
        top5_error=5.5,
        error_evaluation="one crop",
        error_source="1610.02357 Table 1, one crop and one net; accuracies of 0.790 and 0.945",
    ),
)
