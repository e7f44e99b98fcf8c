#!/bin/sh
# The whole zoo side by side, into reports/zoo/; `inception-lab report --all` writes the reports of its models.
extras=test  # the same environment serves the tests
. "$(dirname "$0")/environment.sh"
exec .venv/bin/python -c 'import inception_lab as il
print(il.write_comparison(il.zoo_records(il.list_models()), "reports/zoo"))'
