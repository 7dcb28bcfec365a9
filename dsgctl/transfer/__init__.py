"""The document of `dsgctl export`: how it is written, the form of its rows, and how they are restored."""
