"""The control plane: the facts, the rules, and the commands that change them."""

__version__ = "0.1.0"
