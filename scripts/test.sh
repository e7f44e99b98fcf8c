#!/bin/sh
# The tests, doctests of the documentation among them, on every core.
extras=test,bench,tensorboard
. "$(dirname "$0")/environment.sh"
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec .venv/bin/python -m pytest --doctest-modules --numprocesses auto "$@"
