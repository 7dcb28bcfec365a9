"""Imports from other systems: one module or package for each, named as on the command line."""
