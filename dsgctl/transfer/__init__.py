"""The document of `dsgctl export`: how it is written, the schema of its rows, and how they are restored."""
