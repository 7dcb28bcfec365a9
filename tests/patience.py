"""How long a test waits for what must happen: only a test that hangs reaches it, on the slowest machine too."""

PATIENCE = 300.0  # seconds
