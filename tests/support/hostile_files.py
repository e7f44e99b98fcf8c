"""Files of a user's own that do what a program must not be harmed by."""

NETS = """
import functools, os, random, signal, sys, warnings
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(x)


class MyNet(nn.Module):
    default_cfg = {"input_size": (3, 8, 8)}

    def __init__(self, width=4, se=True, text=""):
        super().__init__()
        self.block = Block()
        self.conv = nn.Conv2d(3, width, 3)
        self.gate = nn.Conv2d(width, width, 1) if se else None

    def forward(self, x):
        x = self.conv(self.block(x))
        return self.gate(x) if self.gate else x


class Needy(MyNet):
    def __init__(self, width, *, depth):
        super().__init__(width)


class Open(MyNet):
    def __init__(self, **kwargs):
        super().__init__(kwargs.get("width", 4))


def configured(factory):
    @functools.wraps(factory)
    def with_configuration(*, extra=0, **kwargs):
        return factory({"width": 4 + extra}, **kwargs)

    return with_configuration


@configured
def injected(cfg, *, se=True):
    return MyNet(cfg["width"], se)


def elsewhere():
    os.chdir("/")
    return MyNet()


def double():
    torch.set_default_dtype(torch.float64)
    return MyNet()


def unsettling():
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.manual_seed(3)
    random.seed(3)
    warnings.simplefilter("ignore")
    sys.path.insert(0, "/nowhere")
    sys.setrecursionlimit(sys.getrecursionlimit() + 77)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.environ["INCEPTION_LAB_TEST"] = "1"
    os.chdir("/")
    return MyNet()


class Own(BaseException):
    pass


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def raises(kind="ValueError", text="told"):
    raise {"Own": Own, "Mute": Mute}.get(kind) or getattr(__import__("builtins"), kind)(text)


def frames():
    raise RuntimeError("sizes differ\\nframe #0: c10::Error\\n" + "frame #1: at\\n" * 200)


def wrong_call():
    return MyNet(1, 2, 3, 4, 5)


def nothing():
    return None


number = 5


class Idle(MyNet):
    def __init__(self, many=100):
        super().__init__()
        self.idle = nn.ModuleList(nn.Identity() for _ in range(many))


class Deep(MyNet):
    def __init__(self, depth=200):
        super().__init__()
        module = nn.Conv2d(3, 3, 1)
        for _ in range(depth):
            module = nn.Sequential(module)
        self.deep = module

    def forward(self, x):
        return self.deep(x)


class Named(nn.Module):
    default_cfg = {"input_size": (3, 8, 8)}

    def __init__(self):
        super().__init__()
        for name in NAMES:
            self.add_module(name, nn.Conv2d(3, 3, 1))

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return x


NAMES = ["=cmd()", "+a", "-b", "@c", "\\td", "\\re", "f\\x1b[31m\\x9b", "\\ud800g", "模块", "plain"]
"""
"""A module `mynet` with nets and factories."""

FILES = {
    "mynet.py": NETS,
    "of_double.py": "import torch\ntorch.set_default_dtype(torch.float64)\nfrom mynet import MyNet\n",
    "queue.py": "from mynet import MyNet\n",
    "torch.py": "from mynet import MyNet\n",
    "rich.py": "from mynet import MyNet\n",
    "wants_queue.py": "from queue import MyNet\n",
    "wants_pip.py": "import pip\nMyNet = pip.main\n",
    "pip.py": "from mynet import MyNet\n",
    "my-net.py": "from mynet import MyNet\n",
    "empty.py": "",
    "broken.py": "def MyNet(:\n",
    "misses.py": "import nowhere_to_be_found\n",
    "sub/inner.py": "from torch import nn\nclass Inner(nn.Linear):\n    pass\n",
    "sub/pack/__init__.py": "",
    "sub/pack/deep.py": "from .parts import WIDTH\nfrom mynet import MyNet\n",
    "sub/pack/parts.py": "WIDTH = 3\n",
    "old/net.py": "from parts import WIDTH\nfrom mynet import MyNet\ndef net():\n    return MyNet(WIDTH)\n",
    "old/parts.py": "WIDTH = 4\n",
    "new/net.py": "from parts import WIDTH\nfrom mynet import MyNet\ndef net():\n    return MyNet(WIDTH)\n",
    "new/parts.py": "WIDTH = 6\n",
    "text.pt": "no weights",
    "taken/notes.txt": "mine",
}
"""The text of each file by its path."""
