"""The one error type: what is wrong, where, and what to type next."""

from collections.abc import Iterable
from difflib import get_close_matches

USAGE = 2
MODEL_FAILED = 3


class InceptionLabError(ValueError):
    """Something the user can mend, said in one line.

    Args:
        what: What is wrong, with the value in it.
        where: The module, file or option it was found in.
        hint: What to type next.
        exit_code: What the command line exits with: 2 for wrong usage or configuration, 3 for a
            model that could not be built or traced.

    Example:
        >>> print(InceptionLabError("no model 'gogglenet'", hint="did you mean googlenet?"))
        no model 'gogglenet'; did you mean googlenet?
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", exit_code: int = USAGE) -> None:
        self.what, self.where, self.hint, self.exit_code = what, where, hint, exit_code
        super().__init__(f"{where}: {what}" if where else what)

    def __str__(self) -> str:
        line = " ".join(super().__str__().split())
        return f"{line}; {self.hint}" if self.hint else line


class InputRefused(InceptionLabError):  # noqa: N818 - it says who refused what
    """An input that a model refuses by a check of its own, before a layer deep inside does."""


SHOWN = 30


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint that offers the known names nearest to `name`, or the first of them where none is near.

    Example:
        >>> nearest("gogglenet", ["googlenet", "vgg16"])
        'did you mean googlenet?'
        >>> nearest("zzz", ["googlenet", "vgg16"])
        'known: googlenet, vgg16'
    """
    choices = sorted(known)
    close = get_close_matches(name, choices, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(choices) - SHOWN} more" if len(choices) > SHOWN else ""
    return f"known: {', '.join(choices[:SHOWN]) or 'none'}{more}"
