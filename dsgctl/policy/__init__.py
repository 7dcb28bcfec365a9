"""Policy files: groups, datasets, terms and grants, declared in YAML and reviewed by people.

document.py        the declarations of a file, and its problems with their lines
yaml_nodes.py      reads YAML within bounds
reader.py          turns the nodes of a file into declarations
resource_types.py  how each type of resource is applied and removed
applying.py        changes the database to match a file, in one transaction
writing.py         writes a file that matches the database
"""
