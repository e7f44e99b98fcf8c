#!/bin/sh
# The tests, doctests of the documentation among them.
extras=test,bench
. "$(dirname "$0")/environment.sh"
exec .venv/bin/python -m pytest --doctest-modules "$@"
