"""Formulas and tables of what operations cost, by convention; `inception_lab.formulas` puts them together."""
