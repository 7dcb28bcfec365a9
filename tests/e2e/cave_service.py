"""A small CAVE service: Flask, guarded by the real middle_auth_client. Run as a program: cave_service.py PORT

Its tables are guarded as PyChunkedGraph's are, with SERVICE_TOKEN as its own token.
"""

import json
import os
import sys
from typing import Any

from flask import Flask, g, request
from middle_auth_client import decorators as auth  # the package itself does not export the guard for groups
from waitress import serve

from tests.e2e.chunkedgraph import chunkedgraph

SERVICE_TOKEN = os.environ.get("SERVICE_TOKEN")
app = Flask(__name__)
app.config["AUTH_SERVICE_NAMESPACE"] = "pychunkedgraph"
app.config["AUTH_TOKEN"] = SERVICE_TOKEN
app.register_blueprint(chunkedgraph)


def _add_route(path: str, guard: object, method: str = "GET") -> None:
    """Add a route that returns the email of the admitted person, and the query."""

    def answer(**_names: str) -> dict[str, Any]:
        return {"email": g.auth_user["email"], "query": request.args}

    answer.__name__ = path.strip("/").replace("/", "_").replace("<", "").replace(">", "")
    app.route(path, methods=[method])(guard(answer))  # type: ignore[operator]


_add_route("/required", auth.auth_required)
_add_route("/view", auth.auth_requires_permission("view", dataset="fish2"))
_add_route("/edit", auth.auth_requires_permission("edit", dataset="fish2"))
_add_route("/fly", auth.auth_requires_permission("view", dataset="fly"))
_add_route("/fly-anyway", auth.auth_requires_permission("view", dataset="fly", ignore_tos=True))
_add_route("/worm", auth.auth_requires_permission("view", dataset="worm"))
_add_route("/admin", auth.auth_requires_admin)
_add_route("/group", auth.auth_requires_group("lab-1"))
_add_route("/dataset-admin", auth.auth_requires_dataset_admin(dataset="fish2"))
# Names that only a CAVE database has, and names that differ from them by a space or a capital letter.
_add_route("/foreign", auth.auth_requires_permission("éditer ✓", dataset=" lead"))
_add_route("/foreign-permission", auth.auth_requires_permission("edit ", dataset=" lead"))
_add_route("/foreign-slash", auth.auth_requires_permission("edit ", dataset="slash/ed"))
_add_route("/foreign-group", auth.auth_requires_group("trailing "))
_add_route("/other-dataset", auth.auth_requires_permission("éditer ✓", dataset="lead"))
_add_route("/other-permission", auth.auth_requires_permission("edit", dataset=" lead"))
_add_route("/other-group", auth.auth_requires_group("Trailing "))

# Guards that look up the dataset of a table in the URL, or whether something in it is public.

_add_route("/table/<table_id>/view", auth.auth_requires_permission("view"))
_add_route("/table/<table_id>/edit", auth.auth_requires_permission("edit"))
_add_route("/table/<table_id>/admin", auth.auth_requires_dataset_admin())
_add_route("/other-service/<table_id>", auth.auth_requires_permission("view", resource_namespace="atlas"))
_PUBLIC = {"public_table_key": "table_id", "service_token": SERVICE_TOKEN}
_add_route("/table/<table_id>/any-public", auth.auth_requires_permission("view", **_PUBLIC))
_add_route("/table/<table_id>/any-public-edit", auth.auth_requires_permission("edit", **_PUBLIC))
_add_route(
    "/table/<table_id>/root/<root_id>", auth.auth_requires_permission("view", public_node_key="root_id", **_PUBLIC)
)
_add_route(
    "/table/<table_id>/roots",
    auth.auth_requires_permission("view", public_node_json_key="node_ids", **_PUBLIC),
    method="POST",
)


# Look-ups that services make in the body of a route.


@app.get("/table/<table_id>/may-edit")
@auth.auth_required
def may_edit(table_id: str) -> str:
    return json.dumps(auth.user_has_permission("edit", table_id, "pychunkedgraph"))


@app.get("/shares-group/<int:user_id>")
@auth.auth_required
def shares_group(user_id: int) -> str:
    return json.dumps(auth.users_share_common_group(user_id, excluded_groups=["everybody"]))


@app.get("/usernames/<ids>")
@auth.auth_required
def usernames(ids: str) -> str:
    return json.dumps(auth.get_usernames([int(text) for text in ids.split(",")], g.auth_token))


if __name__ == "__main__":
    serve(app, listen=f"127.0.0.1:{sys.argv[1]}", ident=None, url_scheme="https")  # behind nginx
