"""Keys and shapes of the state dicts of public ports, in their order, typed from the ports' own structure."""

CLASSES = 6


def norm(name, channels):
    for key in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{key}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def conv(name, before, after, height, width=None):
    """A convolution and its norm under one name."""
    yield f"{name}.conv.weight", (after, before, height, width or height)
    yield from norm(f"{name}.bn", after)


def linear(name, before, after):
    yield f"{name}.weight", (after, before)
    yield f"{name}.bias", (after,)


def torchvision_googlenet():
    yield from conv("conv1", 3, 64, 7)
    yield from conv("conv2", 64, 64, 1)
    yield from conv("conv3", 64, 192, 3)
    for name, before, one, three_in, three, five_in, five, pool in (
        ("3a", 192, 64, 96, 128, 16, 32, 32),
        ("3b", 256, 128, 128, 192, 32, 96, 64),
        ("4a", 480, 192, 96, 208, 16, 48, 64),
        ("4b", 512, 160, 112, 224, 24, 64, 64),
        ("4c", 512, 128, 128, 256, 24, 64, 64),
        ("4d", 512, 112, 144, 288, 32, 64, 64),
        ("4e", 528, 256, 160, 320, 32, 128, 128),
        ("5a", 832, 256, 160, 320, 32, 128, 128),
        ("5b", 832, 384, 192, 384, 48, 128, 128),
    ):
        module = f"inception{name}"
        yield from conv(f"{module}.branch1", before, one, 1)
        yield from conv(f"{module}.branch2.0", before, three_in, 1)
        yield from conv(f"{module}.branch2.1", three_in, three, 3)
        yield from conv(f"{module}.branch3.0", before, five_in, 1)
        yield from conv(f"{module}.branch3.1", five_in, five, 3)
        yield from conv(f"{module}.branch4.1", before, pool, 1)
    yield from linear("fc", 1024, CLASSES)


def torchvision_googlenet_heads():
    for name, before in (("aux1", 512), ("aux2", 528)):
        yield from conv(f"{name}.conv", before, 128, 1)
        yield from linear(f"{name}.fc1", 2048, 1024)
        yield from linear(f"{name}.fc2", 1024, CLASSES)


def inception3(aux=False):
    """torchvision's, and timm's too."""
    yield from conv("Conv2d_1a_3x3", 3, 32, 3)
    yield from conv("Conv2d_2a_3x3", 32, 32, 3)
    yield from conv("Conv2d_2b_3x3", 32, 64, 3)
    yield from conv("Conv2d_3b_1x1", 64, 80, 1)
    yield from conv("Conv2d_4a_3x3", 80, 192, 3)
    for m, before, pool in (("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)):
        yield from conv(f"{m}.branch1x1", before, 64, 1)
        yield from conv(f"{m}.branch5x5_1", before, 48, 1)
        yield from conv(f"{m}.branch5x5_2", 48, 64, 5)
        yield from conv(f"{m}.branch3x3dbl_1", before, 64, 1)
        yield from conv(f"{m}.branch3x3dbl_2", 64, 96, 3)
        yield from conv(f"{m}.branch3x3dbl_3", 96, 96, 3)
        yield from conv(f"{m}.branch_pool", before, pool, 1)
    yield from conv("Mixed_6a.branch3x3", 288, 384, 3)
    yield from conv("Mixed_6a.branch3x3dbl_1", 288, 64, 1)
    yield from conv("Mixed_6a.branch3x3dbl_2", 64, 96, 3)
    yield from conv("Mixed_6a.branch3x3dbl_3", 96, 96, 3)
    for m, c in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        yield from conv(f"{m}.branch1x1", 768, 192, 1)
        yield from conv(f"{m}.branch7x7_1", 768, c, 1)
        yield from conv(f"{m}.branch7x7_2", c, c, 1, 7)
        yield from conv(f"{m}.branch7x7_3", c, 192, 7, 1)
        yield from conv(f"{m}.branch7x7dbl_1", 768, c, 1)
        yield from conv(f"{m}.branch7x7dbl_2", c, c, 7, 1)
        yield from conv(f"{m}.branch7x7dbl_3", c, c, 1, 7)
        yield from conv(f"{m}.branch7x7dbl_4", c, c, 7, 1)
        yield from conv(f"{m}.branch7x7dbl_5", c, 192, 1, 7)
        yield from conv(f"{m}.branch_pool", 768, 192, 1)
    if aux:
        yield from conv("AuxLogits.conv0", 768, 128, 1)
        yield from conv("AuxLogits.conv1", 128, 768, 5)
        yield from linear("AuxLogits.fc", 768, CLASSES)
    yield from conv("Mixed_7a.branch3x3_1", 768, 192, 1)
    yield from conv("Mixed_7a.branch3x3_2", 192, 320, 3)
    yield from conv("Mixed_7a.branch7x7x3_1", 768, 192, 1)
    yield from conv("Mixed_7a.branch7x7x3_2", 192, 192, 1, 7)
    yield from conv("Mixed_7a.branch7x7x3_3", 192, 192, 7, 1)
    yield from conv("Mixed_7a.branch7x7x3_4", 192, 192, 3)
    for m, before in (("Mixed_7b", 1280), ("Mixed_7c", 2048)):
        yield from conv(f"{m}.branch1x1", before, 320, 1)
        yield from conv(f"{m}.branch3x3_1", before, 384, 1)
        yield from conv(f"{m}.branch3x3_2a", 384, 384, 1, 3)
        yield from conv(f"{m}.branch3x3_2b", 384, 384, 3, 1)
        yield from conv(f"{m}.branch3x3dbl_1", before, 448, 1)
        yield from conv(f"{m}.branch3x3dbl_2", 448, 384, 3)
        yield from conv(f"{m}.branch3x3dbl_3a", 384, 384, 1, 3)
        yield from conv(f"{m}.branch3x3dbl_3b", 384, 384, 3, 1)
        yield from conv(f"{m}.branch_pool", before, 192, 1)
    yield from linear("fc", 2048, CLASSES)


def timm_inception_v4():
    f = "features"
    yield from conv(f"{f}.0", 3, 32, 3)
    yield from conv(f"{f}.1", 32, 32, 3)
    yield from conv(f"{f}.2", 32, 64, 3)
    yield from conv(f"{f}.3.conv", 64, 96, 3)
    yield from conv(f"{f}.4.branch0.0", 160, 64, 1)
    yield from conv(f"{f}.4.branch0.1", 64, 96, 3)
    yield from conv(f"{f}.4.branch1.0", 160, 64, 1)
    yield from conv(f"{f}.4.branch1.1", 64, 64, 1, 7)
    yield from conv(f"{f}.4.branch1.2", 64, 64, 7, 1)
    yield from conv(f"{f}.4.branch1.3", 64, 96, 3)
    yield from conv(f"{f}.5.conv", 192, 192, 3)
    for n in (6, 7, 8, 9):
        yield from conv(f"{f}.{n}.branch0", 384, 96, 1)
        yield from conv(f"{f}.{n}.branch1.0", 384, 64, 1)
        yield from conv(f"{f}.{n}.branch1.1", 64, 96, 3)
        yield from conv(f"{f}.{n}.branch2.0", 384, 64, 1)
        yield from conv(f"{f}.{n}.branch2.1", 64, 96, 3)
        yield from conv(f"{f}.{n}.branch2.2", 96, 96, 3)
        yield from conv(f"{f}.{n}.branch3.1", 384, 96, 1)
    yield from conv(f"{f}.10.branch0", 384, 384, 3)
    yield from conv(f"{f}.10.branch1.0", 384, 192, 1)
    yield from conv(f"{f}.10.branch1.1", 192, 224, 3)
    yield from conv(f"{f}.10.branch1.2", 224, 256, 3)
    for n in range(11, 18):
        yield from conv(f"{f}.{n}.branch0", 1024, 384, 1)
        yield from conv(f"{f}.{n}.branch1.0", 1024, 192, 1)
        yield from conv(f"{f}.{n}.branch1.1", 192, 224, 1, 7)
        yield from conv(f"{f}.{n}.branch1.2", 224, 256, 7, 1)
        yield from conv(f"{f}.{n}.branch2.0", 1024, 192, 1)
        yield from conv(f"{f}.{n}.branch2.1", 192, 192, 7, 1)
        yield from conv(f"{f}.{n}.branch2.2", 192, 224, 1, 7)
        yield from conv(f"{f}.{n}.branch2.3", 224, 224, 7, 1)
        yield from conv(f"{f}.{n}.branch2.4", 224, 256, 1, 7)
        yield from conv(f"{f}.{n}.branch3.1", 1024, 128, 1)
    yield from conv(f"{f}.18.branch0.0", 1024, 192, 1)
    yield from conv(f"{f}.18.branch0.1", 192, 192, 3)
    yield from conv(f"{f}.18.branch1.0", 1024, 256, 1)
    yield from conv(f"{f}.18.branch1.1", 256, 256, 1, 7)
    yield from conv(f"{f}.18.branch1.2", 256, 320, 7, 1)
    yield from conv(f"{f}.18.branch1.3", 320, 320, 3)
    for n in (19, 20, 21):
        yield from conv(f"{f}.{n}.branch0", 1536, 256, 1)
        yield from conv(f"{f}.{n}.branch1_0", 1536, 384, 1)
        yield from conv(f"{f}.{n}.branch1_1a", 384, 256, 1, 3)
        yield from conv(f"{f}.{n}.branch1_1b", 384, 256, 3, 1)
        yield from conv(f"{f}.{n}.branch2_0", 1536, 384, 1)
        yield from conv(f"{f}.{n}.branch2_1", 384, 448, 3, 1)
        yield from conv(f"{f}.{n}.branch2_2", 448, 512, 1, 3)
        yield from conv(f"{f}.{n}.branch2_3a", 512, 256, 1, 3)
        yield from conv(f"{f}.{n}.branch2_3b", 512, 256, 3, 1)
        yield from conv(f"{f}.{n}.branch3.1", 1536, 256, 1)
    yield from linear("last_linear", 1536, CLASSES)


def timm_inception_resnet_v2():
    yield from conv("conv2d_1a", 3, 32, 3)
    yield from conv("conv2d_2a", 32, 32, 3)
    yield from conv("conv2d_2b", 32, 64, 3)
    yield from conv("conv2d_3b", 64, 80, 1)
    yield from conv("conv2d_4a", 80, 192, 3)
    yield from conv("mixed_5b.branch0", 192, 96, 1)
    yield from conv("mixed_5b.branch1.0", 192, 48, 1)
    yield from conv("mixed_5b.branch1.1", 48, 64, 5)
    yield from conv("mixed_5b.branch2.0", 192, 64, 1)
    yield from conv("mixed_5b.branch2.1", 64, 96, 3)
    yield from conv("mixed_5b.branch2.2", 96, 96, 3)
    yield from conv("mixed_5b.branch3.1", 192, 64, 1)
    for n in range(10):
        yield from conv(f"repeat.{n}.branch0", 320, 32, 1)
        yield from conv(f"repeat.{n}.branch1.0", 320, 32, 1)
        yield from conv(f"repeat.{n}.branch1.1", 32, 32, 3)
        yield from conv(f"repeat.{n}.branch2.0", 320, 32, 1)
        yield from conv(f"repeat.{n}.branch2.1", 32, 48, 3)
        yield from conv(f"repeat.{n}.branch2.2", 48, 64, 3)
        yield from expand(f"repeat.{n}.conv2d", 128, 320)
    yield from conv("mixed_6a.branch0", 320, 384, 3)
    yield from conv("mixed_6a.branch1.0", 320, 256, 1)
    yield from conv("mixed_6a.branch1.1", 256, 256, 3)
    yield from conv("mixed_6a.branch1.2", 256, 384, 3)
    for n in range(20):
        yield from conv(f"repeat_1.{n}.branch0", 1088, 192, 1)
        yield from conv(f"repeat_1.{n}.branch1.0", 1088, 128, 1)
        yield from conv(f"repeat_1.{n}.branch1.1", 128, 160, 1, 7)
        yield from conv(f"repeat_1.{n}.branch1.2", 160, 192, 7, 1)
        yield from expand(f"repeat_1.{n}.conv2d", 384, 1088)
    yield from conv("mixed_7a.branch0.0", 1088, 256, 1)
    yield from conv("mixed_7a.branch0.1", 256, 384, 3)
    yield from conv("mixed_7a.branch1.0", 1088, 256, 1)
    yield from conv("mixed_7a.branch1.1", 256, 288, 3)
    yield from conv("mixed_7a.branch2.0", 1088, 256, 1)
    yield from conv("mixed_7a.branch2.1", 256, 288, 3)
    yield from conv("mixed_7a.branch2.2", 288, 320, 3)
    for block in (*(f"repeat_2.{n}" for n in range(9)), "block8"):
        yield from conv(f"{block}.branch0", 2080, 192, 1)
        yield from conv(f"{block}.branch1.0", 2080, 192, 1)
        yield from conv(f"{block}.branch1.1", 192, 224, 1, 3)
        yield from conv(f"{block}.branch1.2", 224, 256, 3, 1)
        yield from expand(f"{block}.conv2d", 448, 2080)
    yield from conv("conv2d_7b", 2080, 1536, 1)
    yield from linear("classif", 1536, CLASSES)


def expand(name, before, after):
    yield f"{name}.weight", (after, before, 1, 1)
    yield f"{name}.bias", (after,)


def timm_xception():
    """A shortcut is listed after its block's body, for it is there in the zoo's network."""
    yield "conv1.weight", (32, 3, 3, 3)
    yield from norm("bn1", 32)
    yield "conv2.weight", (64, 32, 3, 3)
    yield from norm("bn2", 64)
    blocks = [(1, 64, 128, 128), (2, 128, 256, 256), (3, 256, 728, 728)]
    blocks += [(n, 728, 728, 728) for n in range(4, 12)] + [(12, 728, 728, 1024)]
    for n, before, middle, after in blocks:
        strided = n in (1, 2, 3, 12)
        widths = [before, middle, after] if strided else [728, 728, 728, 728]
        at = [0, 3] if n == 1 else [1, 4] if strided else [1, 4, 7]
        for i, one, other in zip(at, widths, widths[1:], strict=False):
            yield from separable(f"block{n}.rep.{i}", one, other)
            yield from norm(f"block{n}.rep.{i + 1}", other)
        if strided:
            yield f"block{n}.skip.weight", (after, before, 1, 1)
            yield from norm(f"block{n}.skipbn", after)
    yield from separable("conv3", 1024, 1536)
    yield from norm("bn3", 1536)
    yield from separable("conv4", 1536, 2048)
    yield from norm("bn4", 2048)
    yield from linear("fc", 2048, CLASSES)


def separable(name, before, after):
    yield f"{name}.conv1.weight", (before, 1, 3, 3)
    yield f"{name}.pointwise.weight", (after, before, 1, 1)
