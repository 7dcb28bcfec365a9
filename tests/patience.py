"""How long a test waits for what must come: only to end one that hangs, so that no test depends on a machine's pace."""

PATIENCE = 300.0  # seconds
