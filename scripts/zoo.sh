#!/bin/sh
# The whole zoo side by side, into reports/zoo/; the reports of all its models stay in build/zoo/.
extras=test  # the same environment serves the tests
. "$(dirname "$0")/environment.sh"
.venv/bin/inception-lab report --all -o build/zoo
rm -rf reports/zoo
cp -r build/zoo/comparison reports/zoo
