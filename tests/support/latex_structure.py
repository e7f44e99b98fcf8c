"""A strict reader of the LaTeX that worksheets are written in, as no TeX is there to compile it."""

import re

TOKEN = re.compile(
    r"\\(?:begin|end)\{[^{}]*\}|\\[A-Za-z]+\*?|\\.|[{}$&%#_^~]|\n\s*\n|[^\\{}$&%#_^~\n]+|\n", re.DOTALL
)
TEXT_COMMANDS = {
    r"\documentclass", r"\usepackage", r"\allowdisplaybreaks", r"\section*", r"\subsection*", r"\paragraph",
    r"\noindent", r"\textbf", r"\texttt", r"\textbackslash", r"\textasciitilde", r"\textasciicircum",
    r"\textless", r"\textgreater", r"\textbar", r"\times", r"\hline",
}  # fmt: skip
MATH_COMMANDS = {r"\text", r"\times", r"\quad"}
ESCAPED = {rf"\{character}" for character in "{}$&#%_"}
CELLS = {"align*": 2, "tabular": 4}


def faults(document):
    """What a TeX engine would stop at, or set otherwise than meant: each as a sentence."""
    reader = Reader()
    tokens = TOKEN.findall(document)
    assert "".join(tokens) == document
    for place, token in enumerate(tokens):
        reader.read(token, "".join(tokens[place + 1 : place + 3]))
    reader.check(not (reader.groups or reader.environments or reader.math), "something is not closed")
    reader.check(document.isascii(), "a character outside of ASCII")
    return reader.faults


class Reader:
    """The state behind each token: open groups and environments, and the cells of the current line."""

    def __init__(self):
        self.faults, self.environments = [], []
        self.groups, self.cells, self.math = 0, 1, False

    @property
    def inside(self):
        return self.environments[-1] if self.environments else "nothing"

    def check(self, sound, fault):
        if not sound:
            self.faults.append(fault)

    def read(self, token, behind):
        if token.startswith((r"\begin{", r"\end{")):
            self.bound(token, token[token.index("{") + 1 : -1])
        elif token == "\\\\":
            self.line_break(behind)
        elif token.startswith("\\"):
            commands = MATH_COMMANDS if self.inside == "align*" else TEXT_COMMANDS
            self.check(token in ESCAPED | commands, f"{token} in {self.inside}")
        elif token in "{}$&":
            self.special(token)
        else:
            self.check(token not in "%#_^~", f"{token} is not escaped")
            self.check(
                self.inside != "align*" or token.strip() or token.count("\n") < 2, "a display is broken"
            )

    def bound(self, token, name):
        """The beginning or the end of an environment."""
        if token.startswith(r"\begin"):
            self.environments.append(name)
            self.cells = 1
            return
        self.check(name == self.inside and not self.groups, f"{token} closes what is not open")
        self.check(name != "align*" or self.cells == CELLS[name], f"{self.cells} cells end {name}")
        del self.environments[-1:]

    def line_break(self, behind):
        self.check(self.cells == CELLS.get(self.inside), f"{self.cells} cells in a line of {self.inside}")
        self.check(behind.lstrip()[:1] not in ("[", "*"), "a line break takes what follows as its argument")
        self.cells = 1

    def special(self, token):
        if token == "$":
            self.math = not self.math
        elif token == "&":
            self.check(self.inside in CELLS and not self.groups, "& outside of a table")
            self.cells += 1
        else:
            self.groups += 1 if token == "{" else -1
            self.check(self.groups >= 0, "a brace closes what is not open")
