"""A small CAVE service: Flask, guarded by the real middle_auth_client. Run as a program: cave_service.py PORT"""

import sys
from typing import Any

from flask import Flask, g, request
from middle_auth_client import decorators as auth  # the package itself does not name the guard for groups
from waitress import serve

app = Flask(__name__)


def _guarded(path: str, guard: object) -> None:
    """A route that says who got in, and what was asked."""

    def answer() -> dict[str, Any]:
        return {"email": g.auth_user["email"], "asked": request.args}

    answer.__name__ = path.strip("/").replace("/", "_")
    app.get(path)(guard(answer))  # type: ignore[operator]


@app.get("/alive")
def alive() -> str:
    return "ok"


_guarded("/required", auth.auth_required)
_guarded("/view", auth.auth_requires_permission("view", dataset="fish2"))
_guarded("/edit", auth.auth_requires_permission("edit", dataset="fish2"))
_guarded("/fly", auth.auth_requires_permission("view", dataset="fly"))
_guarded("/fly-anyway", auth.auth_requires_permission("view", dataset="fly", ignore_tos=True))
_guarded("/worm", auth.auth_requires_permission("view", dataset="worm"))
_guarded("/admin", auth.auth_requires_admin)
_guarded("/group", auth.auth_requires_group("lab-1"))
_guarded("/dataset-admin", auth.auth_requires_dataset_admin(dataset="fish2"))
# Names that only a CAVE database holds, and names that differ from them in a space or a capital.
_guarded("/foreign", auth.auth_requires_permission("éditer ✓", dataset=" lead"))
_guarded("/foreign-permission", auth.auth_requires_permission("edit ", dataset=" lead"))
_guarded("/foreign-slash", auth.auth_requires_permission("edit ", dataset="slash/ed"))
_guarded("/foreign-group", auth.auth_requires_group("trailing "))
_guarded("/other-dataset", auth.auth_requires_permission("éditer ✓", dataset="lead"))
_guarded("/other-permission", auth.auth_requires_permission("edit", dataset=" lead"))
_guarded("/other-group", auth.auth_requires_group("Trailing "))

if __name__ == "__main__":
    serve(app, listen=f"127.0.0.1:{sys.argv[1]}", ident=None, url_scheme="https")  # nginx stands before it
