"""GET /api/dsg/v1/user: cached like user/cache, and always as new."""

from dsgctl.core import groups, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgserve.apis.native.user import PATH
from dsgserve.gateway import Gateway
from tests.dsgserve.conftest import Client, Reply


def ask(client: Client, who: str = "bo") -> Reply:
    return client.get(PATH, authorization=f"Bearer tok-{who}")


def test_the_name_is_the_stored_one_and_groups_are_sorted(client: Client) -> None:
    assert ask(client).json() == {
        "id": 3,
        "email": "bo@example.org",
        "name": "Bo",  # the display name is "Bo B."
        "picture_url": "",
        "admin": False,
        "service_account": False,
        "groups": ["lab", "лаборатория"],
    }


def test_an_answer_is_built_once(client: Client, gateway: Gateway) -> None:
    for _ in range(3):
        assert ask(client).status == 200
    assert gateway.metrics.counts()["answers_built"] == 1


def test_the_next_request_sees_every_change(client: Client, database: Database) -> None:
    ask(client)
    with begin_change(database, "os:test") as change:
        groups.remove_member(change, "lab", "bo@example.org")
    assert ask(client).json()["groups"] == ["лаборатория"]
    with begin_change(database, "os:test") as change:
        users.set_active(change, "bo@example.org", False)
    assert (ask(client).status, ask(client).json()["error"]) == (401, "account_disabled")


def test_a_service_account_has_no_picture_and_no_groups(client: Client) -> None:
    answer = ask(client, "idle-bot").json()
    assert (answer["email"], answer["name"]) == ("idle-bot@service-account.dsg.local", "idle-bot")
    assert (answer["picture_url"], answer["service_account"], answer["groups"]) == (None, True, [])
