"""Rules as pure functions of a snapshot and a moment: no database, no screen, no HTTP."""
