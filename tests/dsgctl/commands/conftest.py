"""Fixtures of the tests of commands."""

import pytest

from tests.dsgctl.commands.world import World

ADA, BO = "ada@example.org", "bo@example.org"


@pytest.fixture
def lab_world(filled: World) -> World:
    """ada leads lab-1 and has manage on fish2; bo is a dataset admin of fly."""
    filled.quick("grant", "add", "fish2", "manage", "--user", ADA).ok()
    filled.quick("grant", "add", "fly", "admin", "--user", BO).ok()
    filled.quick("terms", "retire", "3").ok()
    filled.quick("group", "member", "add", "lab-1", ADA, "--lead").ok()
    return filled
