"""A policy file with something of every kind."""

from pathlib import Path

import pytest

from tests.dsgctl.commands.world import World

FILE = """\
name: zebrafish
groups:
  lab-7:
    members: [ada@example.org, Bo@example.org]
    leads: [ada@example.org]
service-accounts:
  render:
    description: renders tiles
datasets:
  brain:
    description: A brain
    access: closed
    versions:
      1.20: {public: true}
    locations:
      - gs://brain-data/all
      - {location: gs://brain-data/1.20/, version: 1.20}
    terms:
      - name: brain terms
        text: |
          # Rules

          Be kind.
    grants:
      - {group: lab-7, permission: view}
      - {user: ada@example.org, permission: edit, expires: 2999-01-31}
      - {user: bo@example.org, permission: view, version: 1.20, scope: lab-7}
      - {service-account: render, permission: view}
"""


@pytest.fixture
def policy(filled: World) -> Path:
    path = filled.directory / "policy.yaml"
    path.write_text(FILE)
    return path


def read_plan(world: World, *words: str, code: int = 1) -> list[str]:
    """The lines that ``dsgctl diff policy.yaml`` prints."""
    result = world.quick("diff", "policy.yaml", *words)
    assert result.code == code, result
    return result.out.splitlines()
