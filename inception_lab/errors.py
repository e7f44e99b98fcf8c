"""The one error type: what is wrong, where, and what to type next."""

from collections.abc import Iterable
from difflib import get_close_matches

USAGE = 2
MODEL_FAILED = 3


class InceptionLabError(ValueError):
    """A fault that the user can mend, in one line.

    Args:
        what: The fault, with the value in it.
        where: The module, file or option that has it.
        hint: The next thing to type, for a user of Python.
        exit_code: The status with which the command line ends: 1 where the answer is no, 2 for wrong usage
            or configuration, 3 for a model that could not be built or traced.

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


MOST_NAMES = 30
"""The most names that a hint lists."""


def nearest(name: object, choices: Iterable[str]) -> str:
    """Return a hint that offers the choices nearest to a name, or the first of all where none is near.

    Args:
        name: A value that is not a choice; of any type, as users pass anything.
        choices: The names that there are.

    Example:
        >>> nearest("gogglenet", ["googlenet", "vgg16"])
        'did you mean googlenet?'
        >>> nearest("zzz", ["googlenet", "vgg16"])
        'known: googlenet, vgg16'
    """
    names = sorted(choices)
    close = get_close_matches(str(name), names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"known: {', '.join(names[:MOST_NAMES]) or 'none'}{more}"
