"""Names of modules that would break out of the text around them."""

import torch
from torch import nn

HOSTILE_NAMES = [
    r"a_b$x^2%&#{}~\end{document}",
    "]*[",
    "[opt]",
    "*",
    "\\\\",
    "模块é",
    "<b>|`\n*_x_*",
    "\"q\" --x ''",
    "# title",
    "a\r\nb\x1b[31m",
    "| --- |",
]

NAMES_ON_PAGES = [
    *HOSTILE_NAMES,
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "=1+1",
    "🙂",
    "{{ 7*7 }}",
    "\ud83d",
    "\x00",
]
"""Those, and some that would break out of HTML, data and templates."""


def branched_net(name):
    """A net of two branches with reductions, one of them of this name."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            for branch in (name, "plain"):
                layers = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 6, 3, padding=1)
                self.add_module(branch, nn.Sequential(*layers))

        def forward(self, x):
            return torch.cat([branch(x) for branch in self.children()], 1)

    return Net()
