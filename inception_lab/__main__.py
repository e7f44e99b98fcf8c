"""`python -m inception_lab`, the same as `inception-lab`."""

from inception_lab.cli import main

main()
