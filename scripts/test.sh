#!/bin/sh
# The tests, doctests of the documentation among them, on every core.
extras=test,bench,tensorboard
. "$(dirname "$0")/environment.sh"
# a browser for the tests of pages, which are skipped without one
if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } >/dev/null 2>&1 ||
        echo "Chromium cannot be installed: pages are not tested in a browser" >&2
fi
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec .venv/bin/python -m pytest --doctest-modules --numprocesses auto "$@"
