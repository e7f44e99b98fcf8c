"""Analyzers: from a Trace to tables, without printing or plotting; `summary.ANALYZERS` lists them."""
