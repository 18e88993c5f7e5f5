"""Which questions can be answered without asking anybody: of a flood they are the last to be shed."""

from collections.abc import Callable

from dnsbridge.resolvers.forward.answer_table import KINDS, CacheStore
from dnsbridge.resolvers.resolver import second
from dnsbridge.resolvers.router import Router
from dnsbridge.wire.constants import CD, HEADER_SIZE

_TYPE_AND_CLASS = 4
_OPT_FLAGS = 7
"""Octets of an OPT record before its flags, of which DO is the first bit (RFC 6891 section 6.1.3)."""


def at_hand(router: Router, store: CacheStore) -> Callable[[bytes], bool]:
    """Whether a message asks for a name of a cluster, or for an answer that is in the cache.

    It is asked of each question of a flood, so it only looks where a plain question has these things: of whatever else
    it may say no.
    """
    cluster_of = router.cluster_of
    suffixes = router.perhaps_clusters

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
