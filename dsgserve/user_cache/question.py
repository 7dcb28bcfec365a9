"""What a request asks of the response cache, and what answers it."""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from dsgctl.store import Database
from dsgctl.store.models import Principal

Headers = tuple[tuple[str, str], ...]


class MustBuild(Exception):
    """No valid answer is cached."""


@dataclass(frozen=True, slots=True)
class Content:
    """What answers a question, before it is cached.

    Attributes:
        headers: names and values, beside those that every response has.
        until: the next moment at which it differs by itself; None for never.
        cacheable: false for an answer of which one client can ask for any number.
    """

    body: bytes
    until: datetime | None
    status: int = 200
    headers: Headers = ()
    cacheable: bool = True


@dataclass(frozen=True)
class Question:
    """What is asked with a token, as frozen data, because responses are cached by it.

    Attributes:
        service: the service that asks; the cache replaces an unknown one by None.
        public: whether a client without a token can get an answer, too.
    """

    service: str | None = None
    public: ClassVar[bool] = False

    def build_content(self, database: Database, principal: Principal | None, at: datetime) -> Content | None:
        """What answers the owner of a valid token, or a client without one. Called in a `Database.snapshot`.

        Args:
            principal: None without a token. Then None can be returned: it takes a token.
        """
        raise NotImplementedError

    def complete(self, database: Database, content: Content) -> Content:
        """What is sent to any valid token, if `shared_key` is not None: read anew after each commit of any kind."""
        raise NotImplementedError

    def shared_key(self) -> Hashable | None:
        """What tells the answers of `complete` apart; None if the content for each token is the answer.

        For what is the same for everybody, and whose changes move no revision. For each token, the cache then holds
        only whether it is valid, so the fields that `complete` reads have ``compare=False``.
        """
        return None
