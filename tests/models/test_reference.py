"""The parameters table of the reference, reproduced by `inception-lab models --format json`."""

import json

import pytest

from inception_lab.cli import main

ROWS = [
    ("googlenet", {}, 6_998_552, 1_582_671_872),
    ("googlenet", {"aux_logits": True}, 13_378_280, None),
    ("googlenet_3x3", {}, 6_624_904, 1_498_376_192),
    ("googlenet_3x3", {"aux_logits": True}, 13_004_888, None),
    ("googlenet_naive", {}, 97_526_008, 12_568_061_056),
    ("bn_inception", {}, 11_194_984, 2_018_851_840),
    ("inception_v3", {}, 23_834_568, 5_713_216_096),
    ("inception_v3", {"aux_logits": True}, 27_161_264, None),
    ("inception_v4", {}, 42_679_816, 12_253_974_624),
    ("inception_resnet_v1", {}, 22_756_328, 6_206_361_696),
    ("inception_resnet_v2", {}, 55_843_464, 13_155_794_016),
    ("inception_resnet_v2", {"reading": "paper"}, 32_433_928, 9_257_953_632),
    ("xception", {}, 22_855_952, 8_357_403_496),
    ("alexnet", {}, 61_100_840, 714_188_480),
    ("alexnet", {"grouped": True}, 60_965_224, None),
    ("vgg16", {}, 138_357_544, 15_470_264_320),
    ("vgg19", {}, 143_667_240, 19_632_062_464),
    ("nin", {}, 7_595_176, 1_100_188_800),
]


@pytest.fixture
def models(capsys):
    with pytest.raises(SystemExit):
        main(["models", "--format", "json"])
    return {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}


@pytest.mark.parametrize(("name", "options", "params", "macs"), ROWS)
def test_every_row_of_the_table(models, name, options, params, macs):
    model = models[name]
    entry = next(v for v in model["variants"] if v["options"] == options) if options else model
    assert entry["params"] == params
    assert macs is None or entry["macs"] == macs
