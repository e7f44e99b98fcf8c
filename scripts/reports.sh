#!/bin/sh
# The main job: GoogLeNet and its counterparts, analysed into reports/, and the published claims, recomputed.
extras=test  # the same environment serves the tests
. "$(dirname "$0")/environment.sh"
.venv/bin/inception-lab report \
    googlenet googlenet_bn googlenet_3x3 googlenet_naive googlenet_v2 googlenet_v3
mkdir -p reports/claims
exec .venv/bin/inception-lab confirm --format markdown -o reports/claims/README.md
