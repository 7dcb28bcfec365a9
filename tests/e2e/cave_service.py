"""A small CAVE service: Flask, guarded by the real middle_auth_client. Run as a program: cave_service.py PORT"""

import sys
from typing import Any

from flask import Flask, g, request
from middle_auth_client import decorators as auth  # the package itself does not export the guard for groups
from waitress import serve

app = Flask(__name__)


def _add_route(path: str, guard: object) -> None:
    """Add a route that returns the email of the admitted person, and the query."""

    def answer() -> dict[str, Any]:
        return {"email": g.auth_user["email"], "query": request.args}

    answer.__name__ = path.strip("/").replace("/", "_")
    app.get(path)(guard(answer))  # type: ignore[operator]


@app.get("/alive")
def alive() -> str:
    return "ok"


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

if __name__ == "__main__":
    serve(app, listen=f"127.0.0.1:{sys.argv[1]}", ident=None, url_scheme="https")  # behind nginx
