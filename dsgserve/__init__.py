"""The data plane: a small Bottle app that reads the facts and answers."""
