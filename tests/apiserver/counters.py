"""What the server has been asked and has sent, for tests to compare with what they expect."""

import time
from collections import Counter, deque
from collections.abc import Mapping

from msgspec import Struct, field

REMEMBERED = 100_000


class Asked(Struct, frozen=True):
    """One request."""

    verb: str
    """As access rules name it; `discovery` for everything that is not about a resource."""
    resource: str
    """Plural."""
    namespace: str
    name: str
    params: Mapping[str, str]
    user: str
    at: float
    """Seconds of time.monotonic()."""


class Counters(Struct):
    """Since the server was made."""

    requests: deque[Asked] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """The last ones, oldest first, without those that were refused as unauthenticated."""
    refused: Counter[int] = field(default_factory=Counter)
    """Errors that were answered, by HTTP status."""
    streamed: list[tuple[str, float]] = field(default_factory=list)
    """When the end of a streaming list of a resource was said, in seconds of time.monotonic()."""
    objects: Counter[str] = field(default_factory=Counter)
    """Objects sent in lists, by resource."""
    events: Counter[str] = field(default_factory=Counter)
    """Events sent in watches, without bookmarks, by resource."""
    bookmarks: Counter[str] = field(default_factory=Counter)
    """Bookmarks sent, by resource."""
    octets: int = 0
    """Of lists and watches, before TLS."""

    def ask(self, verb: str, resource: str, namespace: str, name: str, params: Mapping[str, str], user: str) -> None:
        """Remember a request."""
        self.requests.append(Asked(verb, resource, namespace, name, params, user, time.monotonic()))

    def asked(self, verb: str | None = None, resource: str | None = None, **params: str) -> list[Asked]:
        """The requests of a verb and resource (None: any) with these parameters; an empty value: without it."""
        return [
            request
            for request in self.requests
            if verb in (None, request.verb)
            and resource in (None, request.resource)
            and all(request.params.get(key, "") == value for key, value in params.items())
        ]
