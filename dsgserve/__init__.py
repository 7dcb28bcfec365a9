"""The server: a small Bottle app that signs people in and answers who may read what, from the database."""
