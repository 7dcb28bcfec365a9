"""What an operator or a login can do, and the rules. Knows no screen and no HTTP."""
