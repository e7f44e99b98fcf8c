"""Conditions on the parameters of a variant, judged before anything is built."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression

from inception_lab.budgets.toml_source import Place, shortened
from inception_lab.errors import InceptionLabError, first_line, nearest

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs, "ceil": lambda x: -int(-x // 1), "floor": lambda x: int(x // 1),
    "len": len, "max": max, "min": min, "round": round, "sum": sum,
}  # fmt: skip
"""Those that an expression may call."""

_CONSTANTS = {"true": True, "false": False}
"""As TOML writes them."""


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
        except (InvalidExpression, ArithmeticError, TypeError, ValueError, LookupError) as error:
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
    try:
        expression = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise place.refusal(f"{shortened(text)} cannot be read: {first_line(error)}", "") from error
    unknown = _names_of(expression) - {*names, *_FUNCTIONS, *_CONSTANTS}
    for name in sorted(unknown):
        hint = nearest(name, [*names, *_FUNCTIONS])
        raise place.refusal(f"{shortened(text)} names {name!r}, which is not a parameter", hint)
    return Constraint(text, place, expression, EvalWithCompoundTypes(functions=dict(_FUNCTIONS)))


def _names_of(expression: ast.expr) -> set[str]:
    """The names that an expression reads, those of its own comprehensions apart."""
    names = [node for node in ast.walk(expression) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - own
