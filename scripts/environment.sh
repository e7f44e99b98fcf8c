# Makes .venv with the tested versions and installs inception_lab and the extras named into it.
# Sourced by the scripts that run in it; a second run only checks that nothing is missing.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "inception_lab needs Python 3.11 or newer; name one with PYTHON=/path/to/python" >&2
    exit 2
fi
if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv || {
        echo "no virtual environment: install your system's venv package (python3-venv on Debian)" >&2
        exit 2
    }
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint constraints.txt --editable ".[$extras]"
