"""A command as a user types it."""

import pytest

from inception_lab.cli import main


def typed(capsys, *arguments):
    """Exit code, output and errors of a command."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    captured = capsys.readouterr()
    return exit_.value.code or 0, captured.out, captured.err
