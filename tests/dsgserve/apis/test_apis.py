"""The registry of APIs: what is named is served, and nothing else is loaded."""

import json
import subprocess
import sys
from itertools import combinations

import pytest

from dsgctl.setting_values import APIS
from dsgserve import apis
from dsgserve.http.routing import ROUTES, make_table

CHOICES = [names for count in range(len(APIS) + 1) for names in combinations(APIS, count)]


def test_with_nothing_named_the_server_has_the_routes_of_the_contract_and_no_others() -> None:
    assert make_table(()).routes == ROUTES


@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_an_api_is_loaded_only_if_it_is_named(names: tuple[str, ...]) -> None:
    code = f"""
import json, sys
from dsgserve.http.routing import make_table
make_table({names!r})
print(json.dumps([name for name in sys.modules if name.startswith("dsgserve.apis.")]))
"""
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    assert {name.split(".")[2] for name in loaded} & APIS.keys() == set(names)


@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_any_choice_of_apis_makes_one_table(names: tuple[str, ...]) -> None:
    paths = [route.path for route in make_table(names).routes]
    assert len(paths) == len(set(paths))
    assert set(paths) == {route.path for route in (*ROUTES, *apis.load_routes(names))}
