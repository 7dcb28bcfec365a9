"""Backups of the database, and their restore.

A bundle is ``dsg-backup-TIME.tar.gz.age``: a tar of the database, `archive.Manifest`, and, unless the settings say
otherwise, the settings file and the OAuth client. ``dsg-backup-TIME.meta.json`` beside it has its size and hash, and
no secret.

create.py      copies the database while it is in use, verifies, encrypts and ships the copy
restore.py     verifies a bundle, and puts its database and its settings into place
bundles.py     the bundles in a directory: names, tiers, pruning
archive.py     the tar, read with suspicion
encryption.py  age
staging.py     the private directory that holds a bundle in clear
"""
