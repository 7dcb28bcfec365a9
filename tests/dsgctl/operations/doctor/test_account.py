"""Access is tried as the owner of the directory where the service user does not exist."""

import os
from dataclasses import replace

import pytest

from tests.dsgctl.operations.doctor.installation import IS_ROOT, Installation
from tests.dsgctl.operations.doctor.planting import Examine, find_row


@pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
def test_without_the_services_user_access_is_checked_for_the_owner_of_the_directory(
    here: Installation, examine: Examine
) -> None:
    host = replace(here.host, service_user="nobody-of-this-name")
    os.chown(here.lib, 54321, 54321)  # nobody has that number
    os.chown(here.database, 0, 0)
    find_row(
        examine(host=host)[1], "database", "failed", "54321 may not write", "(root:root, mode 0660)", "chown 54321:"
    )
    os.chown(here.database, 54321, 54321)
    find_row(examine(host=host)[1], "database", "ok", "54321:54321")
