"""The control plane: the data, the rules, and the commands that change them."""

from dsgctl.release import RELEASE

__version__ = RELEASE
