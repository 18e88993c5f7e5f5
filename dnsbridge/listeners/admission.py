"""What all listeners of a server share, to say whose question is answered and how often."""

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
    """For the clients that are limited."""
    waiting: Waiting
    at_hand: Callable[[bytes], bool]
    """Whether a message asks what is answered without asking anybody: cheap, and never wrong when it says so."""
    suffixes: tuple[bytes, ...]
    """How the octets of every name end that a cluster may have, in lower case."""
