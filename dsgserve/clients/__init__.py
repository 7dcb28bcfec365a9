"""The windows in which a person allows a registered client to have a delegated key. contract.md, "Delegated keys"."""
