"""Long jobs of an operator: backup, setup, doctor, demo and the sync of Google's bucket policies."""
