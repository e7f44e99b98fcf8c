"""The claims as data: complete, each with a source, a recipe and an expectation."""

import csv
import inspect
import re
from pathlib import Path

import pytest

from inception_lab.claims.catalogue import ALL
from inception_lab.claims.catalogue.sources import GOOGLENET, PORTS
from inception_lab.claims.claim import Claim, Figure, by
from inception_lab.claims.quantity import IN_WORDS, exactly
from inception_lab.claims.recipes import RECIPES
from inception_lab.claims.recipes.registry import recipe
from inception_lab.claims.verdict import SEVERITY
from inception_lab.models.registry import list_models

REFERENCE = Path(__file__).parents[1] / "reference"
CLAIMS = [pytest.param(claim, id=claim.id) for claim in ALL]


def test_there_are_at_least_eighty_and_no_id_twice():
    ids = [claim.id for claim in ALL]
    assert len(ids) >= 80
    assert len(set(ids)) == len(ids)


def reference_sources():
    with (REFERENCE / "claim_sources.csv").open() as file:
        return {row["id"]: set(row["sources"].split("; ")) for row in csv.DictReader(file)}


def source_names(text):
    text = text.replace("tutorials A to E", "; ".join(f"tutorial {letter}" for letter in "ABCDE"))
    return set(re.findall(r"\d{4}\.\d{4,5}|tutorial [A-E]|CS231n|project brief", text))


def test_every_claim_of_the_reference_is_there():
    assert len(reference_sources()) == 54
    assert reference_sources().keys() <= {claim.id for claim in ALL}


@pytest.mark.parametrize("id", reference_sources())
def test_nobody_is_said_to_claim_what_others_claim(id):
    (claim,) = [claim for claim in ALL if claim.id == id]
    assert source_names(claim.sources) == reference_sources()[id]


def test_words_have_one_tolerance():
    """A tolerance chosen claim by claim could be chosen to fit."""
    for figure in (figure for claim in ALL for figure in claim.figures):
        if figure.claimed.text.startswith("about"):
            assert figure.claimed.tolerance == pytest.approx(IN_WORDS * figure.claimed.low)


def test_both_columns_of_table_1_are_there_row_by_row():
    claims = {claim.id: claim for claim in ALL}
    with (REFERENCE / "googlenet_table1.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for row in rows:
        name = row["row"].replace("/", "_")
        assert claims[f"table1_params_{name}"].figures[0].claimed.text == row["paper_params"]
        assert claims[f"table1_ops_{name}"].figures[0].claimed.text == row["paper_ops"]
    for whole, column in (("table1_params", "paper_params"), ("table1_ops", "paper_ops")):
        assert [figure.claimed.text for figure in claims[whole].figures] == [row[column] for row in rows]


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_has_its_parts(claim):
    assert claim.source.name
    assert claim.claim.endswith(".")
    assert claim.note.endswith(".")
    assert any(claim.expected_verdict.startswith(kind) for kind in SEVERITY)
    for figure in claim.figures:
        signature = inspect.signature(RECIPES[figure.recipe.name])
        signature.bind(None, **figure.recipe.arguments)


UNPUBLISHED = {"googlenet_naive", "googlenet_bn", "googlenet_v2", "googlenet_v3", "inception_v2"} | set(
    list_models("tutorial")
)
"""Counterparts, a reconstruction and what tutorials build: nobody published their cost."""


def test_every_model_has_claims_but_those_that_nobody_published():
    recipes = [figure.recipe for claim in ALL for figure in claim.figures if claim.source == PORTS]
    for cost in ("params", "macs"):
        models = {recipe.arguments["model"].partition("(")[0] for recipe in recipes if recipe.name == cost}
        assert models == set(list_models()) - UNPUBLISHED


def test_a_claim_without_figures_and_a_figure_of_an_unknown_unit_are_refused():
    with pytest.raises(ValueError, match="no figure"):
        Claim(id="x", claim="x", source=GOOGLENET, figures=(), note="", expected_verdict="")
    with pytest.raises(ValueError, match="no unit"):
        Figure(exactly(1, "furlongs"), by("params", model="googlenet"))


def test_a_recipe_of_a_name_that_is_there_is_refused():
    def params():
        return ()

    with pytest.raises(ValueError, match="already"):
        recipe(params)
