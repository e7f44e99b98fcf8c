"""Send Ctrl-C to real processes at many moments of their first seconds.

Each writes a report over an old one, and has to end with 130 and the old report whole, or with 0 and the new
one. Until the first lines of this package have set their handler, Python itself ends by the signal, or while
it looks for packages with 1.

Usage: python scripts/check_interrupts.py [--moments N] [--seconds S] [MODEL]
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

Content = dict[str, bytes]
BY_PYTHON = (-signal.SIGINT, 1)


def main() -> None:
    """Print how the processes ended; exit with 1 where one ended wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", nargs="?", default="googlenet")
    parser.add_argument("--moments", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        report = Path(parent) / "report"
        new = _written(options.model, report)
        old = {**new, "README.md": b"an old report"}
        ends = Counter(
            _end(options.model, report, old, new, options.seconds * moment / options.moments)
            for moment in range(options.moments)
        )
    for end, times in ends.most_common():
        print(f"{times:4} {end}")
    sys.exit(any(end.startswith("WRONG") for end in ends))


def _written(model: str, report: Path) -> Content:
    subprocess.run(_command(model, report), check=True, stdout=subprocess.DEVNULL)
    return _content(report)


def _command(model: str, report: Path) -> list[str]:
    return [sys.executable, "-m", "inception_lab", "report", model, "-o", str(report)]


def _content(report: Path) -> Content:
    return {path.name: path.read_bytes() for path in report.iterdir()}


def _end(model: str, report: Path, old: Content, new: Content, delay: float) -> str:
    """Interrupt one process after so many seconds; returns how it ended, in words."""
    for name, content in old.items():
        (report / name).write_bytes(content)
    process = subprocess.Popen(
        _command(model, report),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # a shell may have had it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    remnants = [path.name for path in report.parent.iterdir() if path != report]
    return _verdict(process.returncode, errors, _content(report), old, new, remnants)


def _verdict(
    code: int, errors: str, content: Content, old: Content, new: Content, remnants: list[str]
) -> str:
    if code == 130 and errors == "inception-lab: interrupted\n" and content == old and not remnants:
        return "130, the old report whole"
    if code in (0, 130) and content == new and not remnants:
        return f"{code}, the new report whole"
    if code in BY_PYTHON and "inception_lab/cli" not in errors and content == old:
        return f"{code}, while Python starts, the old report whole"
    which = "old" if content == old else "new" if content == new else "damaged"
    return f"WRONG: {code}, the {which} report, {remnants}, {errors[-300:]!r}"


if __name__ == "__main__":
    main()
