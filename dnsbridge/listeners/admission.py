"""The state that all listeners of a server share to decide whose questions are answered, and how often."""

from collections.abc import Callable

from msgspec import Struct

from dnsbridge.listeners.access import Access
from dnsbridge.listeners.fairness import Waiting
from dnsbridge.listeners.response_rate import ResponseRate


class Admission(Struct, frozen=True):
    """Who is let in."""

    access: Access
    silent: bool
    """A client outside the access list gets no answer at all."""
    response_rate: ResponseRate
    """Limits the answers to clients that are limited (see access)."""
    waiting: Waiting
    at_hand: Callable[[bytes], bool]
    """Whether a message can be answered without an upstream: cheap, and never wrong when it returns True."""
    suffixes: tuple[bytes, ...]
    """The endings, in wire form and lower case, of every name that may be a cluster's."""
