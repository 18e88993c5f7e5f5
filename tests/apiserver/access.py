"""Who asks, by token or client certificate, and what each may do."""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from tests.apiserver.resources import Resource
from tests.apiserver.status import Failure, details_of

ALL = "*"
MASTERS = "system:masters"
"""The group that may do everything."""


class User(Struct, frozen=True):
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()


class Rule(Struct, frozen=True):
    """One thing that a user may do; `*` stands for all."""

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    """As messages name them, such as `services` or `endpointslices.discovery.k8s.io`."""
    namespaces: tuple[str, ...] = (ALL,)
    """Requests over the whole cluster need `*`."""


READER = Rule(("get", "list", "watch"), (ALL,))

ADMIN = User("admin", (MASTERS,))


class Token(Struct, frozen=True):
    """A bearer token."""

    user: User
    expires: float | None
    """Seconds of time.monotonic()."""


class Access:
    """The users, their tokens, and what they may do. Tests change it at any time."""

    def __init__(self, anonymous: User | None = None) -> None:
        self.anonymous = anonymous
        """Who asks without credentials; None: 401."""
        self.tokens: dict[str, Token] = {}
        self.rules: dict[str, Sequence[Rule]] = {}
        """By user name; users in `system:masters` need none."""

    def issue(self, user: User = ADMIN, expires_in: float | None = None) -> str:
        """A new token, which ends after so many seconds."""
        token = secrets.token_urlsafe(24)
        self.tokens[token] = Token(user, None if expires_in is None else time.monotonic() + expires_in)
        return token

    def expire(self, token: str) -> None:
        """End a token now; streams that are open stay open, as they do on a real server."""
        self.tokens.pop(token, None)

    def authenticate(self, authorization: str, certificate: Mapping[str, Any] | None) -> User:
        """Who asks, by the header Authorization and the client certificate (ssl's getpeercert()); raises Failure."""
        if certificate:
            fields = [pair for part in certificate.get("subject", ()) for pair in part]
            names = [value for key, value in fields if key == "commonName"]
            groups = tuple(value for key, value in fields if key == "organizationName")
            if names:
                return User(names[0], groups)
        if not authorization and self.anonymous is not None:
            return self.anonymous
        scheme, _, value = authorization.partition(" ")
        token = self.tokens.get(value.strip()) if scheme.lower() == "bearer" else None
        if token is None or (token.expires is not None and token.expires <= time.monotonic()):
            raise Failure(401, "Unauthorized", "Unauthorized")
        return token.user

    def authorise(self, user: User, verb: str, resource: Resource, namespace: str, name: str) -> None:
        """Raise Failure (403) unless the user may do this."""
        if MASTERS in user.groups:
            return
        for rule in self.rules.get(user.name, ()):
            if (
                (ALL in rule.verbs or verb in rule.verbs)
                and (ALL in rule.resources or resource.qualified in rule.resources)
                and (ALL in rule.namespaces or namespace in rule.namespaces)
            ):
                return
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        named = f' "{name}"' if name else ""
        raise Failure(
            403,
            "Forbidden",
            f'{resource.qualified}{named} is forbidden: User "{user.name}" cannot {verb} resource "{resource.plural}" '
            f'in API group "{resource.group}" {where}',
            details_of(resource, name),
        )
