#!/bin/sh
# The tests under the newest torch that was tested, in build/venv-newest: 5.5 GB where pip takes a CUDA build,
# so only when asked for. TORCH=2.14.1 names another one, PYTHON=python3.13 another interpreter.
set -eu
cd "$(dirname "$0")/.."
venv=build/venv-newest
mkdir -p build
# the tested versions of all else: torch brings packages of its own, whose versions it chooses
grep -v '^torch==' constraints.txt > build/constraints-newest.txt
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint build/constraints-newest.txt --editable ".[test,bench,tensorboard]" "torch==${TORCH:-2.14.1}"
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec "$venv/bin/python" -m pytest --doctest-modules --numprocesses auto "$@"
