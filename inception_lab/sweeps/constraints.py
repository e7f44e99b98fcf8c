"""Conditions on the parameters of a variant, judged before anything is built."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from simpleeval import DEFAULT_OPERATORS, EvalWithCompoundTypes, InvalidExpression

from inception_lab.budgets.toml_source import Place, shortened
from inception_lab.errors import InceptionLabError, first_line, nearest

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs, "ceil": lambda x: -int(-x // 1), "floor": lambda x: int(x // 1),
    "len": len, "max": max, "min": min, "round": round, "sum": sum,
}  # fmt: skip
"""Those that an expression may call."""

_CONSTANTS = {"true": True, "false": False}
"""As TOML writes them."""

_SYNTAX = (
    ast.Constant, ast.Name, ast.Load, ast.List, ast.Tuple, ast.Subscript, ast.Call, ast.IfExp, ast.Compare,
    ast.cmpop, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.UAdd, ast.USub, ast.Not,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
)  # fmt: skip
"""The parts of an expression; whatever can loop, or reach inside a value, is none of them."""

_MOST_BITS = 1024
"""Of a power, far above any figure of a net: larger ones take minutes."""


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > _MOST_BITS:
        raise ValueError("a power is too large")
    return base**exponent


def _product(left: Any, right: Any) -> Any:
    if hasattr(left, "__len__") or hasattr(right, "__len__"):  # it would be as long as the number says
        raise TypeError("a list or text is not repeated")
    return left * right


def _remainder(number: Any, divisor: Any) -> Any:
    if hasattr(number, "__len__"):  # of text it is a format, as long as the text asks for
        raise TypeError("a list or text has no remainder")
    return number % divisor


_OPERATORS = {**DEFAULT_OPERATORS, ast.Pow: _power, ast.Mult: _product, ast.Mod: _remainder}


_FAILURES = (InvalidExpression, ArithmeticError, TypeError, ValueError, LookupError, RecursionError)


@dataclass(frozen=True)
class Constraint:
    """A condition on parameters, as an expression of Python over their names.

    Attributes:
        text: The expression.
        place: Of it, for errors.
        expression: The expression, parsed.
        evaluator: Of it, made once, as that takes longer than an expression.

    Example:
        >>> constraint = read_constraint("reduce < width * 2", ["reduce", "width"], Place())
        >>> constraint.holds({"reduce": 16, "width": 32}), constraint.holds({"reduce": 64, "width": 32})
        (True, False)
    """

    text: str
    place: Place
    expression: ast.expr = field(compare=False, repr=False)
    evaluator: EvalWithCompoundTypes = field(compare=False, repr=False)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Judge a variant.

        Args:
            values: Of each parameter by name.

        Raises:
            InceptionLabError: The expression has no value for it, or one that is not true or false (exit
                code 2).
        """
        self.evaluator.names = {**_CONSTANTS, **values}
        try:
            result = self.evaluator.eval(self.text, previously_parsed=self.expression)
        except _FAILURES as error:
            raise self._refusal(first_line(error), values) from error
        if not isinstance(result, bool):
            raise self._refusal(f"is {shortened(result)}, not true or false", values)
        return result

    def _refusal(self, what: str, values: Mapping[str, Any]) -> InceptionLabError:
        names = [name for name in values if name in _names_of(self.expression)]
        texts = [f"{name} = {shortened(values[name])}" for name in names]
        hint = f"it was judged for {', '.join(texts)}" if texts else "write a comparison"
        return self.place.refusal(f"{shortened(self.text)}: {what}", hint)


def read_constraint(text: object, names: Collection[str], place: Place) -> Constraint:
    """Read a condition.

    Args:
        text: An expression of Python: comparisons, arithmetic, `and`, `or`, `not`, `in`, `a if b else c`, and
            abs, ceil, floor, len, max, min, round and sum.
        names: Of the parameters.
        place: Of the text.

    Raises:
        InceptionLabError: It cannot be read, or names something else (exit code 2).
    """
    if not isinstance(text, str) or not text.strip():
        hint = "write it like 'reduction_5x5 <= reduction_3x3'"
        raise place.refusal(f"{shortened(text)} is not a condition", hint)
    expression = _parsed(text, place)
    unknown = _names_of(expression) - {*names, *_FUNCTIONS, *_CONSTANTS}
    for name in sorted(unknown):
        hint = nearest(name, [*names, *_FUNCTIONS])
        raise place.refusal(f"{shortened(text)} names {name!r}, which is not a parameter", hint)
    evaluator = EvalWithCompoundTypes(operators=_OPERATORS, functions=dict(_FUNCTIONS))
    return Constraint(text, place, expression, evaluator)


def _parsed(text: str, place: Place) -> ast.expr:
    hint = "write a comparison such as 'reduction_5x5 <= reduction_3x3'"
    try:
        expression = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else first_line(error)
        raise place.refusal(f"{shortened(text)} cannot be read: {reason}", hint) from error
    for node in ast.walk(expression):
        if not isinstance(node, _SYNTAX):
            what = f"{shortened(text)} has a part that no condition has ({type(node).__name__})"
            raise place.refusal(what, hint)
    return expression


def _names_of(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
