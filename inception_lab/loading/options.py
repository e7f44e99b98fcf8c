"""MODEL and its inputs as a user names them: plain data, and how text becomes it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from inception_lab.errors import InceptionLabError, nearest

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "complex64", "complex128",
    "int64", "int32", "int16", "int8", "uint8", "bool",
)  # fmt: skip

_MOST_DIGITS = 15
"""Of one size; Python refuses to read numbers of thousands of digits."""

_UNREADABLE = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)
"""Everything that reading a literal may raise."""

_LONGEST_SHOWN = 80
"""Characters of a MODEL that an error shows."""

_LOOKALIKES: Mapping[str, str] = MappingProxyType(
    {"true": "True", "false": "False", "none": "None", "null": "None"}
)
"""Words of other languages that would be text here, and true as all text is; and what they stand for."""

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
        spec: Name of an entry of the zoo, or `package.module:factory`.
        kwargs: Keywords of the model.
        input_sizes: One per input; empty for the size on the card, or that the model itself tells.
        batch_size: Images in a batch.
        name: Its name in results; of itself that of `spec`.
        arguments: Of its forward, beside the inputs.

    Example:
        >>> request = ModelRequest("torch.nn:Linear", {"in_features": 3, "out_features": 2}, batch_size=4)
        >>> request.name, request.kwargs, request.batch_size
        ('torch.nn:Linear', {'in_features': 3, 'out_features': 2}, 4)
    """

    spec: str
    kwargs: Mapping[str, Any] = field(default_factory=lambda: _NO_KEYWORDS)
    input_sizes: tuple[InputSize, ...] = ()
    batch_size: int = 1
    name: str = ""
    arguments: ForwardArguments = NO_ARGUMENTS

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.spec)


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
    """Read a keyword of a model and its value: a Python literal, or else a string.

    Args:
        text: Such as `num_classes=10`.

    Raises:
        InceptionLabError: There is no name before an equals sign, or the value is a constant of another
            language, such as `false` (exit code 2).

    Example:
        >>> parse_keyword("num_classes=10"), parse_keyword("middle=input")
        (('num_classes', 10), ('middle', 'input'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise InceptionLabError(f"{text!r} is not a keyword", hint="write it like num_classes=10")
    try:
        # A value such as `1if` is a SyntaxWarning of Python's own, which would reach the terminal.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return name.strip(), ast.literal_eval(value.strip())
    except _UNREADABLE:
        return name.strip(), _word(name.strip(), value.strip())


def parse_argument(text: str) -> tuple[str, Any]:
    """Read an argument of a model's forward: a keyword and its value, or a value alone.

    Args:
        text: Such as `out_indices=(1, 3)`, whose value is a Python literal or else text, or a literal alone.

    Returns:
        The keyword, empty for a value alone, and the value.

    Raises:
        InceptionLabError: It cannot be read, or the value is a constant of another language (exit code 2).

    Example:
        >>> parse_argument("out_indices=(1, 3)"), parse_argument("pool=mean"), parse_argument("[5, 3]")
        (('out_indices', (1, 3)), ('pool', 'mean'), ('', [5, 3]))
    """
    name, equals, rest = text.partition("=")
    if equals and name.strip().isidentifier():
        keyword, value = parse_keyword(text)
        # brackets and quotes open a literal, so that one which cannot be read is a slip
        if isinstance(value, str) and rest.strip() == value and value[:1] in _OPENING:
            raise _unreadable_argument(text)
        return keyword, value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "", ast.literal_eval(text.strip())
    except _UNREADABLE as error:
        raise _unreadable_argument(text) from error


_OPENING = ("(", "[", "{", "'", '"')


def _unreadable_argument(text: str) -> InceptionLabError:
    excerpt = repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
    return InceptionLabError(
        f"{excerpt} is not an argument of a forward",
        hint="write it like out_indices=(1,3), or without a name a literal such as [5,3] or None",
    )


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


def _word(name: str, text: str) -> str:
    """The value of a keyword that is text without quotes."""
    if constant := _LOOKALIKES.get(text.lower()):
        raise InceptionLabError(
            f"the value of {name} would be the text {text!r}", hint=f"write {constant}, or quotes around it"
        )
    return text


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


def model_request(
    text: str,
    kwargs: Mapping[str, Any] = _NO_KEYWORDS,
    input_sizes: tuple[InputSize, ...] = (),
    batch_size: int = 1,
    arguments: ForwardArguments = NO_ARGUMENTS,
) -> ModelRequest:
    """Return the request for MODEL as a user types it, which may have keywords in parentheses.

    Keywords in the text are literals of Python, or single words without quotes; nothing is evaluated. They
    are part of the model's name in results.

    Args:
        text: Such as `googlenet`, `package.module:factory`, or `googlenet(num_classes=10)`.
        kwargs: More keywords.
        input_sizes: As of `ModelRequest`.
        batch_size: As of `ModelRequest`.
        arguments: As of `ModelRequest`.

    Raises:
        InceptionLabError: What is in parentheses cannot be read, or a keyword is given twice (exit code 2).

    Example:
        >>> request = model_request("mynet:MyNet( se=False,width=0.5)", {"depth": 3})
        >>> request.spec, request.kwargs, request.name
        ('mynet:MyNet', {'se': False, 'width': 0.5, 'depth': 3}, 'mynet:MyNet(se=False, width=0.5)')
    """
    if "(" not in text:
        keywords = unique_keywords(kwargs.items())
        return ModelRequest(text, keywords, input_sizes, batch_size, arguments=arguments)
    spec = text.partition("(")[0].strip()
    own = [_keyword(spec, node) for node in _keyword_nodes(spec, text)]
    keywords = unique_keywords([*((keyword.name, keyword.value) for keyword in own), *kwargs.items()])
    name = f"{spec}({', '.join(f'{k.name}={k.text}' for k in own)})" if own else spec
    return ModelRequest(spec, keywords, input_sizes, batch_size, name, arguments)


class _Keyword(NamedTuple):
    """A keyword with its value, and this as it is written."""

    name: str
    value: Any
    text: str


def _keyword_nodes(spec: str, text: str) -> list[ast.keyword]:
    """The keywords in the parentheses of MODEL."""
    excerpt = repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
    hint = f"write it like {spec or 'googlenet'}(num_classes=10)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # any name will do for a factory's, which has a colon in it
            source = f"f({text.partition('(')[2].rstrip()}"
            call = ast.parse(source, mode="eval").body
    except _UNREADABLE as error:
        raise InceptionLabError(f"{excerpt} cannot be read", hint=hint) from error
    # a comment behind the parentheses is not in the call
    is_all = ast.get_source_segment(source, call) == source
    # of `f(a=1)(b=2)` the function is a call
    if not (spec and is_all and isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise InceptionLabError(f"{excerpt} cannot be read", hint=hint)
    if call.args or not all(keyword.arg for keyword in call.keywords):
        raise InceptionLabError(f"{excerpt} has a value without a keyword", hint=hint)
    return call.keywords


def _keyword(spec: str, node: ast.keyword) -> _Keyword:
    name = node.arg or ""
    if isinstance(node.value, ast.Name):  # a single word is text, as `parse_keyword` reads it
        return _Keyword(name, _word(name, node.value.id), repr(node.value.id))
    try:
        # unlike repr(), unparse() writes infinity as a literal
        return _Keyword(name, ast.literal_eval(node.value), ast.unparse(node.value))
    except _UNREADABLE as error:
        hint = "write a number, text in quotes, True, False, None, or a list or dictionary of these"
        raise InceptionLabError(f"the value of {name} is not a literal", where=spec, hint=hint) from error
