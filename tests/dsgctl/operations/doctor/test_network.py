"""A server that never answers."""

from tests.dsgctl.operations.doctor.installation import Installation
from tests.dsgctl.operations.doctor.listener import listening_server
from tests.dsgctl.operations.doctor.planting import Examine, find_row


def test_doctor_gives_up_on_a_silent_server_after_its_timeout(here: Installation, examine: Examine) -> None:
    with listening_server(None) as port:
        here.write(DSG_ORIGIN=f"https://localhost:{port}", DSG_OIDC_ISSUER=f"https://localhost:{port}")
        _, rows = examine()
    for check in ("origin", "provider"):
        find_row(rows, check, "failed", "did not answer in time")
