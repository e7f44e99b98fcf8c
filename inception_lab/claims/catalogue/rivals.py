"""Claims about the networks that the Inception papers compare themselves with."""

from functools import partial

from inception_lab.claims.catalogue.sources import ALEXNET, NIN, VGG
from inception_lab.claims.claim import Claim, Figure, by
from inception_lab.claims.quantity import exactly, printed

_alexnet = partial(Claim, source=ALEXNET, place="abstract")
_vgg = partial(Claim, source=VGG)

CLAIMS = (
    _alexnet(
        id="alexnet60M",
        claim="AlexNet has 60 million parameters.",
        figures=(Figure(printed("60M", "params"), by("params", model="alexnet(grouped=True)")),),
        note="With the groups of the 2012 paper; in one column, as it is mostly built today, 61.1 million.",
        expected_verdict="confirmed",
    ),
    _alexnet(
        id="alexnet_neurons",
        claim="AlexNet has 650,000 neurons.",
        figures=(Figure(printed("650K", "count"), by("neurons", model="alexnet(grouped=True)")),),
        note="Outputs of the five convolutions and the three linear layers.",
        expected_verdict="off by 1.4%",
    ),
    _alexnet(
        id="alexnet_layers",
        claim="AlexNet has eight layers with weights: five convolutions and three linear ones.",
        figures=(
            Figure(exactly(8, "count"), by("depth", models=("alexnet(grouped=True)",)), "layers"),
            Figure(
                exactly(3, "count"), by("linear_layer_count", model="alexnet(grouped=True)"), "linear layers"
            ),
        ),
        note="They follow one another, so that the longest path has all of them.",
        expected_verdict="confirmed",
    ),
    _vgg(
        id="vgg16",
        claim="VGG-16 has 138 million parameters.",
        place="Table 2",
        figures=(Figure(printed("138M", "params"), by("params", model="vgg16")),),
        note="90% of them in three linear layers.",
        expected_verdict="confirmed",
    ),
    _vgg(
        id="vgg19",
        claim="VGG-19 has 144 million parameters.",
        place="Table 2",
        figures=(Figure(printed("144M", "params"), by("params", model="vgg19")),),
        note="Three more convolutions of 512 filters or fewer add only 5 million.",
        expected_verdict="confirmed",
    ),
    _vgg(
        id="vgg_depths",
        claim="Columns D and E have 16 and 19 weight layers.",
        place="Table 1",
        figures=(
            Figure(exactly(16, "count"), by("depth", models=("vgg16",)), "D"),
            Figure(exactly(19, "count"), by("depth", models=("vgg19",)), "E"),
        ),
        note="13 and 16 convolutions, three linear layers.",
        expected_verdict="confirmed",
    ),
    Claim(
        id="nin",
        claim="NIN for ImageNet weighs about 29 MB.",
        source=NIN,
        place="write-ups",
        figures=(Figure(printed("29 M", "bytes"), by("file_size", model="nin")),),
        note="7.6 million parameters of four bytes.",
        expected_verdict="confirmed under a reading: MB of 1,048,576 bytes",
    ),
    Claim(
        id="nin_no_linear",
        claim="NIN has no fully connected layer.",
        source=NIN,
        place="section 3.2",
        figures=(Figure(exactly(0, "count"), by("linear_layer_count", model="nin")),),
        note="Its last 1x1 gives a channel for each class, which the global average reduces to a number.",
        expected_verdict="confirmed",
    ),
)
