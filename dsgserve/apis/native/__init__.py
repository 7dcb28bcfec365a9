"""The API native: DatasetGateway's own API, for neuPrint and Clio. contract-services.md, "The native API"."""

from dsgserve.apis import own_tokens
from dsgserve.apis.native import authorize, lists, long_lived_tokens, user
from dsgserve.http.route import Endpoint, Guard, Route
from dsgserve.login.admission import require_own_token, require_token, valid_or_no_token
from dsgserve.user_cache import hot_path

_MEMBERS = Endpoint("GET", lists.show_members, require_token, Guard.HARMLESS)

ROUTES: tuple[Route, ...] = (
    Route(
        user.PATH,
        (Endpoint("GET", hot_path.show, user.admit, Guard.HARMLESS),),
        often=True,
        question=user.read_question,
    ),
    Route(
        "/api/dsg/v1/authorize",
        (
            Endpoint(
                "POST",
                authorize.answer,
                valid_or_no_token,
                Guard.HARMLESS,
                reads_body=True,
                max_body=authorize.MAX_BODY,
            ),
        ),
        often=True,
        limited=True,  # for callers without a token
    ),
    Route("/api/dsg/v1/datasets", (Endpoint("GET", lists.show_datasets, require_token, Guard.HARMLESS),)),
    Route(
        "/api/dsg/v1/datasets/<dataset>/versions",
        (Endpoint("GET", lists.show_versions, require_token, Guard.HARMLESS),),
    ),
    Route("/api/dsg/v1/groups/<group>/members", (_MEMBERS,)),
    Route("/api/v1/groups/<group>/members", (_MEMBERS,)),
    Route(
        "/api/v1/long_lived_token",
        (Endpoint("GET", long_lived_tokens.mint, require_own_token, Guard.DELIBERATE),),
        limited=True,
    ),
    Route(
        "/api/v1/long_lived_token/rotate",
        (Endpoint("POST", long_lived_tokens.rotate, long_lived_tokens.require_itself, Guard.DELIBERATE),),
        limited=True,
    ),
    own_tokens.CREATE,
)
