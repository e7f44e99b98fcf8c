"""`python -m inception_lab`, the same as `inception-lab`."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Python puts the current folder first, where a user's json.py would hide Python's own
    del sys.path[0]

from inception_lab import interrupts

interrupts.leave_on_request()  # before the imports of the command line, which take long

from inception_lab import cli  # noqa: E402


def main() -> None:
    """Run the command line as a program, from its start to its end."""
    try:
        cli.main()
    finally:
        interrupts.ignore_requests()


if __name__ == "__main__":
    main()
