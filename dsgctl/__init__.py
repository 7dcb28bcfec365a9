"""The control plane: the facts, the rules, and the commands that change them."""

import sys

from dsgctl.release import RELEASE

__version__ = RELEASE

# peewee loads every driver that is installed, and psycopg alone takes longer than all the rest of a start. Our own
# facts are in SQLite; the one import that needs a driver takes this away again (importers/middle_auth/drivers.py).
for _driver in ("psycopg", "psycopg2", "pymysql", "MySQLdb"):
    sys.modules.setdefault(_driver, None)  # type: ignore[arg-type]
