"""GET /: who is signed in, what they may see, which terms wait."""

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import access, clock, terms
from dsgctl.core.access import Facts, Waiting
from dsgserve import session, waiting
from dsgserve.gateway import Gateway
from dsgserve.replies import page
from dsgserve.session import Login


def show(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """The same address for everybody; what it says depends on the token."""
    found = session.of_request(gateway, request)
    if not isinstance(found, Login):
        return page("welcome", title="DatasetGateway", ended=found is not None)
    known, pending = waiting.known(gateway, found.principal)
    return page(
        "landing",
        title="DatasetGateway",
        who=access.public_name(known),
        label=known.label,
        admin=known.admin,
        read_only=known.read_only,
        groups=sorted(known.groups),
        datasets=_datasets(known),
        pending=_pending(pending),
    )


def _datasets(known: Facts) -> list[dict[str, object]]:
    """The datasets that the person holds a permission on, and the highest one."""
    at = clock.now()
    counting = access.permissions(known, at)
    return [
        {
            "name": name,
            "level": max(held, key=lambda permission: (access.level(permission), permission)),
            "held_back": name not in counting,
        }
        for name, held in sorted(access.effective(known, at).items())
    ]


def _pending(pending: tuple[Waiting, ...]) -> list[dict[str, object]]:
    by_id = {one.terms.id: one for one in reversed(pending)}
    return [
        {
            "name": one.terms.name, "dataset": one.dataset, "version": one.version,
            "path": terms.accept_path(one.terms.id),
        }
        for one in sorted(by_id.values(), key=lambda one: (one.dataset, one.terms.id))
    ]  # fmt: skip
