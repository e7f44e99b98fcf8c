"""Recipes: functions of traces and models that recompute a figure under every reading of it."""

from inception_lab.claims.recipes import costs, facts, fields, gradients, modules, products, structure, times
from inception_lab.claims.recipes.registry import MEASURED, RECIPES

__all__ = [
    "MEASURED",
    "RECIPES",
    "costs",
    "facts",
    "fields",
    "gradients",
    "modules",
    "products",
    "structure",
    "times",
]
