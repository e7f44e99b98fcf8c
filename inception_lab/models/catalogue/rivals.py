"""Cards of the networks that the Inception papers compare themselves with."""

from functools import partial
from types import MappingProxyType

from inception_lab.models.card import Card, Option, Variant

_OPTIONS = {
    "num_classes": Option(1000, "count", "classes that the classifier tells apart"),
    "dropout": Option(0.5, "fraction", "share dropped after each of the first two fully connected layers"),
    "init_weights": Option(True, "flag", "draw weights for ReLU networks; otherwise torch's own stay"),
}
_ALEXNET_OPTIONS = _OPTIONS | {
    "grouped": Option(False, "flag", "the two columns of the 2012 paper with LRN, for images of 227 x 227"),
}
_NIN_OPTIONS = _OPTIONS | {"dropout": Option(0.5, "fraction", "share dropped before the last stage")}

_rival = partial(Card, input_size=(3, 224, 224), options=MappingProxyType(_OPTIONS))
_vgg = partial(
    _rival,
    family="vgg",
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    paper="1409.1556",
    year=2014,
    smallest_input=32,
    error_evaluation="dense evaluation",
    error_source="1409.1556 Table 3, dense evaluation at scale 384, one net trained at 256 to 512",
    notes="An adaptive pool to 7x7 before the first linear layer takes other sizes; at 224 it copies.",
)

CARDS: tuple[Card, ...] = (
    _rival(
        name="alexnet",
        family="alexnet",
        title="ImageNet Classification with Deep Convolutional Neural Networks",
        paper="NIPS 2012",
        follows="figure 2 in one column (1404.5997), in the widths of the widely used ports",
        year=2012,
        params=61_100_840,
        macs=714_188_480,
        variants=(
            Variant(options={"grouped": True}, params=60_965_224, macs=724_406_816, input_size=(3, 227, 227)),
        ),
        smallest_input=63,
        entry="alexnet:alexnet",
        options=MappingProxyType(_ALEXNET_OPTIONS),
        top1_error=40.7,
        top5_error=18.2,
        error_evaluation="ten crops",
        error_source="NIPS 2012 Table 2, ten crops, one net in two columns",
        notes="No LRN. Grouped, as Caffe's at 227, it has 60,965,224 parameters and 724,406,816 MACs. An "
        "adaptive pool to 6x6 before the first linear layer takes other sizes.",
    ),
    _vgg(
        name="vgg16",
        follows="Table 1, column D",
        params=138_357_544,
        macs=15_470_264_320,
        entry="vgg:vgg16",
        top1_error=25.6,
        top5_error=8.1,
    ),
    _vgg(
        name="vgg19",
        follows="Table 1, column E",
        params=143_667_240,
        macs=19_632_062_464,
        entry="vgg:vgg19",
        top1_error=25.5,
        top5_error=8.0,
    ),
    _rival(
        name="nin",
        family="nin",
        title="Network In Network",
        paper="1312.4400",
        follows="section 3, in the widths that its authors released for ImageNet",
        year=2013,
        params=7_595_176,
        macs=1_100_188_800,
        smallest_input=39,
        entry="nin:nin",
        options=MappingProxyType(_NIN_OPTIONS),
        notes="The paper has no ImageNet net: this is the one its authors gave to Caffe's model zoo. A ReLU "
        "follows the last convolution too.",
    ),
)
