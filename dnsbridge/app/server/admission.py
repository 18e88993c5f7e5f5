"""From settings and parts to what the listeners let in."""

from collections.abc import Callable
from ipaddress import ip_network

from dnsbridge.app.answering.parts import Parts
from dnsbridge.config import PRIVATE, Settings
from dnsbridge.listeners.access import Access
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.fairness import Waiting
from dnsbridge.listeners.response_rate import PER_SECOND, ResponseRate
from dnsbridge.resolvers.forward.answer_table import KINDS
from dnsbridge.resolvers.resolver import second
from dnsbridge.wire.constants import CD, HEADER_SIZE

_EVERYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_TYPE_AND_CLASS = 4
_OPT_FLAGS = 7
"""Octets of an OPT record before its flags, of which DO is the first bit (RFC 6891 section 6.1.3)."""


def admission(settings: Settings, parts: Parts) -> Admission:
    """What all listeners share."""
    rate = settings.access.response_rate
    if rate == "auto":
        unlimited, per_second = PRIVATE, PER_SECOND
    else:
        unlimited, per_second = () if rate else _EVERYBODY, rate
    return Admission(
        Access(settings.access.networks, unlimited),
        settings.access.denied == "drop",
        ResponseRate(per_second),
        Waiting(),
        at_hand(parts),
        parts.router.perhaps_clusters,
    )


def at_hand(parts: Parts) -> Callable[[bytes], bool]:
    """Whether a message asks for a name of a cluster, or for an answer that is in the cache.

    It is asked of each question of a flood, so it only looks where a plain question has these things: of whatever else
    it may say no.
    """
    cluster_of = parts.router.cluster_of
    suffixes = parts.router.perhaps_clusters
    store = parts.zones.store

    def check(message: bytes) -> bool:
        end = message.find(0, HEADER_SIZE) + 1
        question_end = end + _TYPE_AND_CLASS
        if not end or len(message) < question_end:
            return False
        name = message[HEADER_SIZE:end].lower()
        if name.endswith(suffixes):
            try:
                if cluster_of(name):
                    return True
            except IndexError:  # a name whose labels do not end where an octet is zero
                return False
        opt_flags = question_end + _OPT_FLAGS
        dnssec_ok = len(message) > opt_flags and message[opt_flags] >> 7
        held = store.get(name + message[end:question_end] + KINDS[dnssec_ok | message[3] & CD])
        return held is not None and second() < held.expires

    return check
