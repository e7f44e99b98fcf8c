#!/bin/sh
# Every pair of public functions from two threads at once, many times over: about half an hour on two cores.
extras=test,bench
. "$(dirname "$0")/environment.sh"
export INCEPTION_LAB_THREAD_ROUNDS=${INCEPTION_LAB_THREAD_ROUNDS:-20} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec .venv/bin/python -m pytest --numprocesses auto tests/test_threads.py "$@"
