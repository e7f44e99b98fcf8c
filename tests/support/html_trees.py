"""Pages of HTML as trees."""

import re
import warnings

import html5lib

XHTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"


def parsed(page):
    """The page as a tree; html5lib raises where HTML is not valid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return html5lib.HTMLParser(strict=True).parse(page)


def text_of(element):
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()


def rows_of(table):
    """The rows of the body, as texts of their cells."""
    return [[text_of(cell) for cell in row] for body in table.iter(f"{XHTML}tbody") for row in body]
