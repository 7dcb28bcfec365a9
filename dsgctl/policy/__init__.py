"""Policy as a file that people review: groups, datasets, terms and grants, declared in YAML.

document.py   reads such a file, and names the line of everything in it
resource_types.py      what may be declared: how each kind is brought about, and how it goes
applying.py   brings the facts up to a file, in one change
writing.py    writes such a file from what is there
"""
