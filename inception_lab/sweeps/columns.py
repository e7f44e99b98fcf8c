"""The columns that a sweep adds to its parameters and figures."""

from __future__ import annotations

VARIANT = "variant"
"""The number of a variant, from 1 in the order of the space."""
END_TYPES = {"within_budgets": "bool", "status": "str", "cause": "str"}
"""What became of a variant, behind its figures, with the types of the columns."""
ON_FRONT = "on_front"
"""True for a variant on the Pareto front."""
TIMES = ("plain_step_ms", "plain_step_iqr_ms")
"""The median time of a step, and the interquartile range."""

OWN_COLUMNS = (VARIANT, *END_TYPES, ON_FRONT, *TIMES)
"""Names that no parameter may have."""
