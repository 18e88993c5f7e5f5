"""A question of a client and its answer, as the query log and dnstap are told of them."""

from msgspec import Struct


class Exchange(Struct, frozen=True, gc=False):
    """One exchange; times in Unix nanoseconds, addresses packed, messages whole."""

    stream: bool
    """Over TCP."""
    client: bytes
    client_port: int
    server: bytes
    """The address that was asked; empty: unknown."""
    server_port: int
    asked_at: int
    query: bytes
    answered_at: int
    response: bytes
