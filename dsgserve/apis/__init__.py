"""APIs beyond the routes that every server has: one module or package for each, loaded only if DSG_APIS names it.

An API's module has its name in DSG_APIS (`dsgctl.setting_values.APIS`), and a tuple ``ROUTES``, as in
dsgserve/http/routing.py. It has handlers and admissions, and no rule of its own: those are in dsgctl/core.
"""

from collections.abc import Iterable
from importlib import import_module

from dsgserve.http.route import Route


def load_routes(names: Iterable[str]) -> tuple[Route, ...]:
    """The routes of these APIs, whose modules are imported."""
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return tuple(route for module in modules for route in module.ROUTES)
