"""Published figures as data, and the code that recomputes them.

`claim.py` has a claim and its parts, `catalogue/` the claims by source, `recipes/` what recomputes them,
`verdict.py` the rule that judges, `recompute.py` the answer for all of them.
"""
