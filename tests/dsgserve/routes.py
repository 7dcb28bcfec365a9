"""The routes of a server with every API, for tests that are generated from the table of routes."""

import re

from dsgctl.setting_values import APIS
from dsgserve.http.route import Route
from dsgserve.http.routing import make_table

EVERY_ROUTE = make_table(APIS).routes


def fill_path(route: Route, number: int) -> str:
    """The path of a route, with this number for each number and name in it."""
    return re.sub("<[^>]*>", str(number), route.path)
