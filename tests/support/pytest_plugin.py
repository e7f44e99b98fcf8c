"""The arguments with which a pytest of its own has this package's plugin, installed or not."""

from importlib.metadata import entry_points

_NAME = "inception_lab.pytest_plugin"
INSTALLED = any(point.value == _NAME for point in entry_points(group="pytest11"))
# named twice, a plugin is an error of pytest's
ARGUMENTS = () if INSTALLED else ("-p", _NAME)
