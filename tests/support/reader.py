"""A reader who types what a page shows, from its first line to its last, in a folder of their own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from inception_lab.cli import main
from support.pages import Block, commands_of, shape

ROOT = Path(__file__).parents[2]
TOOL = "inception-lab"
ELSEWHERE = re.compile(r"(pip|eval|_INCEPTION_LAB|tensorboard)")
"""Commands that need a network, or change the shell: shown and not typed."""


class Reader:
    """Types the blocks of one page.

    Args:
        folder: The current folder, of a user's own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = 0
        self.namespace: dict[str, Any] = {"__name__": "page"}
        self.printed = ""

    def read(self, block: Block) -> str:
        """Type a block, and return it as it should be."""
        if block.title:
            return self._file(block)
        printed, self.printed = self.printed, ""
        if block.kind == "text":
            return printed or block.text
        readings: dict[str, Callable[[Block], str]] = {
            "console": self._console, "sh": self._shell, "python": self._python,
            "yaml": self._workflow, "inserted": self._inserted,
        }  # fmt: skip
        return readings[block.kind](block) if block.kind in readings else block.text

    def _file(self, block: Block) -> str:
        path = self.folder / str(block.title)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        self._forget_modules()
        return block.text

    def _console(self, block: Block) -> str:
        machine = "machine" in block.marks.split()
        parts = []
        for command, expected in commands_of(block.text):
            output = f"{self.code}\n" if command == "echo $?" else self._judged(command)
            same = machine and shape(output) == shape(expected)
            parts.append(f"$ {command}\n{expected if same else output}")
        assert self.code == 0 or block.text.endswith(f"$ echo $?\n{self.code}\n"), f"ends with {self.code}"
        return "".join(parts)

    def _judged(self, command: str) -> str:
        output, errors = self.run(command)
        return output + errors

    def _shell(self, block: Block) -> str:
        for line in block.text.splitlines():
            self._run_well(re.split(r"\s+#\s|^#", line)[0].strip())
        return block.text

    def _run_well(self, command: str) -> None:
        if script := re.match(r"(?:\w+=\S+ )?(?:sh|python) (scripts/\S+)", command):
            assert (ROOT / script[1]).exists(), command
        elif command and not ELSEWHERE.match(command):
            output, errors = self.run(command)
            assert (self.code, errors) == (0, ""), f"{command}\n{output}{errors}"

    def _workflow(self, block: Block) -> str:
        for step in yaml.safe_load(block.text):
            for line in step.get("run", "").splitlines():
                self._run_well(line)
        return block.text

    def _python(self, block: Block) -> str:
        code = compile("\n" * (block.line - 1) + block.text, f"line {block.line}", "exec")
        with redirect_stdout(StringIO()) as out:
            exec(code, self.namespace)
        self.printed = out.getvalue()
        return block.text

    def _inserted(self, block: Block) -> str:
        output, errors = self.run(block.marks)
        assert (self.code, errors) == (0, "")
        return output

    def run(self, command: str) -> tuple[str, str]:
        """Output and errors of a command, those of this tool without a process of their own."""
        first, _, rest = _at_pipe(command)
        if shlex.split(first)[0] != TOOL:
            return self._process(command)
        output, errors = self._tool(shlex.split(first)[1:])
        return (self._process(rest, output)[0], errors) if rest else (output, errors)

    def _tool(self, arguments: list[str]) -> tuple[str, str]:
        self._forget_modules()
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as errors:
            try:
                main(arguments)
            except SystemExit as exit_:
                self.code = int(exit_.code or 0)
        return out.getvalue(), errors.getvalue()

    def _process(self, command: str, text: str = "") -> tuple[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        variables = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
        folder = ROOT if "scripts/" in command else self.folder
        shell = ["bash", "-c", command]
        done = subprocess.run(shell, cwd=folder, env=variables, input=text, capture_output=True, text=True)
        self.code = done.returncode
        return done.stdout, done.stderr

    def _forget_modules(self) -> None:
        """Forget what was imported of the user's files, which a page may change."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(self.folder)):
                del sys.modules[name]


def _at_pipe(command: str) -> tuple[str, str, str]:
    """Split a command where its output goes into another one, which quotes hide."""
    masked = re.sub(r"\"[^\"]*\"|'[^']*'", lambda quoted: "x" * len(quoted[0]), command)
    place = masked.find(" | ")
    return (command, "", "") if place < 0 else (command[:place], "|", command[place + 3 :])
