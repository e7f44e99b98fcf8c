#!/bin/sh
# Everything that needs a CUDA device, in under five minutes, into reports/gpu/: memory, times, the roofline.
# Runs with the Python at hand (PYTHON=... for another) and installs nothing: a machine with a GPU has its own
# torch. Ends with 0 where all is as claimed, 1 where something is not or took too long, 2 without a CUDA device.
set -u
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
output=${1:-reports/gpu}
PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
export PYTHONPATH
"$python" -c 'import importlib, sys
for name in ("torch", "pandas", "rich", "click"):
    try:
        importlib.import_module(name)
    except ImportError:
        sys.exit(f"this Python lacks {name}; name another with PYTHON=/path/to/python")' || exit 2
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "this machine has no CUDA device" >&2
    exit 2
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
code=0
run() {
    name=$1 limit=$2
    shift 2
    began=$(date +%s)
    timeout -k 5 "$limit" "$python" "$@" --output "$output" >"$logs/$name" 2>&1
    status=$?
    echo "$name: exit code $status after $(($(date +%s) - began)) s"
    if [ "$status" -ne 0 ]; then
        tail -n 3 "$logs/$name" >&2
        code=1
    fi
}
run memory 110 scripts/check_memory_cuda.py --models googlenet inception_v3 vgg16 --batch 16 --steps 2
run times 170 scripts/check_times_cuda.py --models googlenet vgg16 --seconds 4
exit "$code"
