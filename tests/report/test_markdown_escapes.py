"""No name is markup: what a parser of Markdown makes of an escaped text is the text."""

import re
from html import unescape

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from inception_lab.report.text import escape_markdown

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXTS = st.text(st.sampled_from("ab1 _*`#-+=.)(>[]!|<&;$~\\\"'\n\té模"), max_size=20)


def shown(text):
    """The text that a page shows, and its elements."""
    html = PARSER.render(text)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split()), set(re.findall(r"<(\w+)", html))


@given(TEXTS)
@example("# title")
@example("1. one")
@example("12) one")
@example("- item")
@example("-")
@example("  - item")
@example("    code")
@example("1.")
@example("- - -")
@example("---")
@example("===")
@example("a &amp; b &#35;")
@example("![x](y)")
@example("<b>bold</b>")
def test_a_text_is_shown_as_it_is(text):
    line = " ".join(text.split())
    content, elements = shown(escape_markdown(text))
    assert content == line
    assert elements <= {"p"}


def test_figures_and_words_need_no_escape():
    texts = ["1.04", "+26.5 M", "-5", "7.00 M (1.00)", "0.5", "1)x", "Norris & Sim"]
    assert [*map(escape_markdown, texts)] == texts
    assert [{"p"}] * len(texts) == [shown(text)[1] for text in texts]
