"""The one error type: what is wrong, where, and what to type next."""

from collections.abc import Iterable
from difflib import get_close_matches
from hashlib import sha256

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
        what, where, hint = map(shortened, (self.what, self.where, self.hint))
        line = f"{where}: {what}" if where else what
        return printable(f"{line}; {hint}" if hint else line)


class InputRefused(InceptionLabError):  # noqa: N818 - it says who refused what
    """An input that a model refuses by a check of its own, before a layer deep inside does."""


LONGEST_PART = 400
"""The most characters of each part of a message; what users pass may be of any length."""


def shortened(text: str, most: int = LONGEST_PART) -> str:
    """Return a text of at most some characters, with its beginning and its end.

    Example:
        >>> shortened("num_classes"), shortened("x" * 1000 + "y", 9)
        ('num_classes', 'xxxx…xxxy')
    """
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def checksum(text: str) -> str:
    """Return eight characters that tell a text from another one, of any characters.

    Example:
        >>> checksum("width=4"), checksum("width=5")
        ('5ebdaa8a', '0fd32fa6')
    """
    return sha256(text.encode(errors="backslashreplace")).hexdigest()[:8]


def printable(text: str) -> str:
    r"""Return a text on one line, with escapes for what a terminal would obey or cannot show.

    Example:
        >>> printable("two\nlines"), printable("red \x1b[31m")
        ('two lines', 'red \\x1b[31m')
    """
    line = " ".join(text.split())
    return "".join(x if x.isprintable() else x.encode("unicode_escape").decode("ascii") for x in line)


def listed(names: Iterable[str], most: int = 10) -> str:
    """Return names with commas between them, and of many how many more there are.

    Example:
        >>> listed(["conv1", "conv2"]), listed(["a", "b", "c", "d"], 2)
        ('conv1, conv2', 'a, b and 2 more')
    """
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def first_line(error: BaseException) -> str:
    r"""Return the first line of what an exception says, or its type where it says nothing.

    Example:
        >>> first_line(ValueError("no such size\nframe #0: c10::Error")), first_line(KeyError())
        ('no such size', 'KeyError')
    """
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # the text of a user's own exception is code of the user
        lines = []
    return shortened(lines[0]) if lines else type(error).__name__


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
    by_small = {choice.lower(): choice for choice in reversed(names)}
    close = get_close_matches(shortened(str(name), 100).lower(), by_small, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(by_small[choice] for choice in close)}?"
    return f"known: {listed(names, MOST_NAMES) or 'none'}"
