"""The routes of a server with every API, for tests that are generated from the table of routes."""

import re

from dsgctl.setting_values import APIS
from dsgserve.http.route import Route
from dsgserve.http.routing import make_table

EVERY_ROUTE = make_table(APIS).routes


# Names and ids of conftest.py's Lab, and of no other use: a table of a service, a public root, ada, a group.
NAMES = {"service": "pychunkedgraph", "table": "fish_seg", "root": "720575940000000001", "user": "1", "group": "1"}


def fill_path(route: Route, number: int) -> str:
    """The path of a route, with this number for each number in it, and a name of the Lab for each name."""
    return re.sub("<([a-z_]+)(:int)?>", lambda name: str(number) if name[2] else NAMES.get(name[1], "fish"), route.path)
