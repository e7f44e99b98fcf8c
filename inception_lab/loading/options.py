"""MODEL and its inputs as a user names them: plain data, and how text becomes it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from inception_lab.errors import InceptionLabError, nearest, shortened
from inception_lab.loading.literals import UNREADABLE, read_literal, read_value
from inception_lab.loading.naming import model_name

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "complex64", "complex128",
    "int64", "int32", "int16", "int8", "uint8", "bool",
)  # fmt: skip

_MOST_DIGITS = 15
"""Of one size; Python refuses to read numbers of thousands of digits."""

_NO_KEYWORDS: Mapping[str, Any] = MappingProxyType({})


class InputSize(NamedTuple):
    """The size of one input.

    Attributes:
        sizes: Without the batch.
        dtype: Name of the element type; empty for that of the model.
        keyword: Of the forward; empty for a positional input.
    """

    sizes: tuple[int, ...]
    dtype: str = ""
    keyword: str = ""


class ForwardArguments(NamedTuple):
    """Arguments of a model's forward beside its inputs, which reach it as they are.

    Attributes:
        args: Positional arguments behind the inputs.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = _NO_KEYWORDS


NO_ARGUMENTS = ForwardArguments()


@dataclass(frozen=True)
class ModelRequest:
    """A model as a user names it, and the inputs that it is to run on.

    Attributes:
        spec: Name of an entry of the zoo, `package.module:factory`, or `path/to/file.py:factory`.
        kwargs: Keywords of the model.
        input_sizes: One per input; empty for the size that the model itself tells.
        batch_size: Images in a batch.
        arguments: Of its forward, beside the inputs.

    Example:
        >>> request = ModelRequest("torch.nn:Linear", {"in_features": 3, "out_features": 2}, batch_size=4)
        >>> request.name, request.batch_size
        ('torch.nn:Linear(in_features=3, out_features=2)', 4)
    """

    spec: str
    kwargs: Mapping[str, Any] = field(default_factory=lambda: _NO_KEYWORDS)
    input_sizes: tuple[InputSize, ...] = ()
    batch_size: int = 1
    arguments: ForwardArguments = NO_ARGUMENTS

    @property
    def name(self) -> str:
        """The model's name in results, which tells variants apart; see `model_name`."""
        return model_name(self.spec, self.kwargs)


def parse_input_size(text: str) -> InputSize:
    """Read sizes without the batch, with the keyword of the input where it has one, and its element type.

    Args:
        text: Such as `3x224x224`, `128:int64` where the type is not the model's, or `mask=16x16:bool`.

    Raises:
        InceptionLabError: It is not a row of positive whole numbers between `x`, or names an unknown
            element type (exit code 2).

    Example:
        >>> parse_input_size("3x224x224")
        InputSize(sizes=(3, 224, 224), dtype='', keyword='')
        >>> parse_input_size("mask=128:int64")
        InputSize(sizes=(128,), dtype='int64', keyword='mask')
    """
    keyword, equals, size = text.rpartition("=")
    row, colon, dtype = size.lower().partition(":")
    parts = row.strip().split("x")
    if not all(_is_size(part) for part in parts) or (equals and not keyword.strip().isidentifier()):
        raise InceptionLabError(f"{text!r} is not an input size", hint="write it like 3x224x224")
    if colon and dtype not in DTYPES:
        raise InceptionLabError(f"no element type {dtype!r}", hint=nearest(dtype, DTYPES))
    return InputSize(tuple(map(int, parts)), dtype, keyword.strip())


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) > 0


def parse_keyword(text: str) -> tuple[str, Any]:
    """Read a keyword of a model and its value: a literal of Python, JSON or TOML, or else text.

    Args:
        text: Such as `num_classes=10`.

    Raises:
        InceptionLabError: There is no name before an equals sign, or the value looks like a literal and is
            none (exit code 2); see `read_value`.

    Example:
        >>> parse_keyword("num_classes=10"), parse_keyword("se=false"), parse_keyword("middle=input")
        (('num_classes', 10), ('se', False), ('middle', 'input'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise InceptionLabError(f"{text!r} is not a keyword", hint="write it like num_classes=10")
    return name.strip(), read_value(value, name.strip())


def parse_argument(text: str) -> tuple[str, Any]:
    """Read an argument of a model's forward: a keyword and its value, or a value alone.

    Args:
        text: Such as `out_indices=(1, 3)`, whose value is as of `parse_keyword`, or a literal alone.

    Returns:
        The keyword, empty for a value alone, and the value.

    Raises:
        InceptionLabError: It cannot be read (exit code 2).

    Example:
        >>> parse_argument("out_indices=(1, 3)"), parse_argument("pool=mean"), parse_argument("[5, null]")
        (('out_indices', (1, 3)), ('pool', 'mean'), ('', [5, None]))
    """
    name, equals, _ = text.partition("=")
    if equals and name.strip().isidentifier():
        return parse_keyword(text)
    try:
        return "", read_literal(text.strip())
    except ValueError as error:
        hint = "write it like out_indices=(1,3), or without a name a literal such as [5,3] or None"
        raise InceptionLabError(f"{text!r} is not an argument of a forward", hint=hint) from error


def argument_text(name: str, value: Any) -> str | None:
    """Return the text of which `parse_argument` makes an argument; None where the value is not a literal.

    Args:
        name: The keyword; empty for a value alone.
        value: Of any type.

    Example:
        >>> argument_text("out_indices", (1, 3)), argument_text("", object())
        ('out_indices=(1, 3)', None)
    """
    text = f"{name}={value!r}" if name else repr(value)
    try:
        return text if repr(parse_argument(text)) == repr((name, value)) else None
    except InceptionLabError:
        return None


def forward_arguments(pairs: Iterable[tuple[str, Any]]) -> ForwardArguments:
    """Return the arguments of a forward.

    Args:
        pairs: Of `parse_argument`.

    Raises:
        InceptionLabError: A name is there twice (exit code 2).

    Example:
        >>> forward_arguments([("", [5, 3]), ("mask", None)])
        ForwardArguments(args=([5, 3],), kwargs={'mask': None})
    """
    pairs = list(pairs)
    args = tuple([value for name, value in pairs if not name])
    return ForwardArguments(args, unique_keywords((name, value) for name, value in pairs if name))


def unique_keywords(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return keywords as a dictionary.

    Args:
        pairs: Names and values.

    Raises:
        InceptionLabError: A name is there twice (exit code 2).

    Example:
        >>> unique_keywords([("width", 3), ("depth", 4)])
        {'width': 3, 'depth': 4}
    """
    keywords: dict[str, Any] = {}
    for name, value in pairs:
        if name in keywords:
            raise InceptionLabError(f"keyword {name!r} is given twice", hint="give it once")
        keywords[name] = value
    return keywords


def spec_of(text: str) -> str:
    """Return MODEL without its keywords in parentheses.

    Example:
        >>> spec_of("nin(num_classes=10)"), spec_of("old (1)/mynet.py:MyNet(width=3)")
        ('nin', 'old (1)/mynet.py:MyNet')
    """
    # the folders of a file may have parentheses in their names, and so may text among the keywords
    file = text.partition("=")[0].rfind(".py:")
    start = text.find("(", max(file, 0))
    return text[:start].strip() if start >= 0 else text.strip()


def is_factory(spec: str) -> bool:
    """True where MODEL, with keywords or without, names a factory rather than an entry of the zoo.

    Example:
        >>> is_factory("torchvision.models:resnet50"), is_factory("googlenet")
        (True, False)
    """
    return ":" in spec_of(spec)


def model_request(
    text: str,
    kwargs: Mapping[str, Any] = _NO_KEYWORDS,
    input_sizes: tuple[InputSize, ...] = (),
    batch_size: int = 1,
    arguments: ForwardArguments = NO_ARGUMENTS,
) -> ModelRequest:
    """Return the request for MODEL as a user types it, which may have keywords in parentheses.

    Keywords in the text are literals, as of `read_literal`, or single words without quotes; nothing is
    evaluated.

    Args:
        text: Such as `googlenet`, `package.module:factory`, or `googlenet(num_classes=10)`.
        kwargs: More keywords.
        input_sizes: As of `ModelRequest`.
        batch_size: As of `ModelRequest`.
        arguments: As of `ModelRequest`.

    Raises:
        InceptionLabError: What is in parentheses cannot be read, or a keyword is given twice (exit code 2).

    Example:
        >>> request = model_request("mynet:MyNet( se=false,width=0.5)", {"depth": 3})
        >>> request.spec, request.kwargs, request.name
        ('mynet:MyNet', {'se': False, 'width': 0.5, 'depth': 3}, 'mynet:MyNet(depth=3, se=False, width=0.5)')
    """
    spec = spec_of(text)
    own = _keywords_within(spec, text.strip()) if len(spec) < len(text.strip()) else []
    return ModelRequest(spec, unique_keywords([*own, *kwargs.items()]), input_sizes, batch_size, arguments)


def _keywords_within(spec: str, text: str) -> list[tuple[str, Any]]:
    """The keywords in the parentheses of MODEL."""
    hint = f"write it like {spec or 'googlenet'}(num_classes=10), text other than one word in quotes"
    # any name will do for a factory's, which has a colon in it
    source = f"f{text[text.index('(', len(spec)) :]}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call = ast.parse(source, mode="eval").body
    except UNREADABLE as error:
        raise InceptionLabError(f"{shortened(text)!r} cannot be read", hint=hint) from error
    # a comment behind the parentheses is not in the call
    is_all = ast.get_source_segment(source, call) == source
    # of `f(a=1)(b=2)` the function is a call
    if not (spec and is_all and isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise InceptionLabError(f"{shortened(text)!r} cannot be read", hint=hint)
    if call.args or not all(keyword.arg for keyword in call.keywords):
        raise InceptionLabError(f"{shortened(text)!r} has a value without a keyword", hint=hint)
    return [(node.arg or "", _value_within(spec, source, node)) for node in call.keywords]


def _value_within(spec: str, source: str, node: ast.keyword) -> Any:
    text = ast.get_source_segment(source, node.value) or ""
    if isinstance(node.value, ast.Name):  # a single word is text, as `parse_keyword` reads it
        return read_value(text, node.arg or "")
    try:
        return read_literal(text)
    except ValueError as error:
        hint = "write a number, text in quotes, true, false, null, or a list or dictionary of these"
        raise InceptionLabError(f"the value of {node.arg} is not a literal", where=spec, hint=hint) from error
