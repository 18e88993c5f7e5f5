"""Tells which questions can be answered without an upstream: in a flood they are shed last."""

from collections.abc import Callable

from dnsbridge.resolvers.forward.answer_table import KINDS, CacheStore
from dnsbridge.resolvers.resolver import second
from dnsbridge.resolvers.router import Router
from dnsbridge.wire.constants import CD, HEADER_SIZE

_TYPE_AND_CLASS = 4
_OPT_FLAGS = 7
"""Octets of an OPT record before its flags; DO is the first bit of the flags (RFC 6891 section 6.1.3)."""


def at_hand(router: Router, store: CacheStore) -> Callable[[bytes], bool]:
    """A check whether a message asks for a name of a cluster, or for an answer that is in the cache.

    The check runs on each question of a flood, so it looks only where a plain question has these fields. To any other
    message it may say no.
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
            except IndexError:  # the labels do not end at the first zero octet
                return False
        opt_flags = question_end + _OPT_FLAGS
        dnssec_ok = len(message) > opt_flags and message[opt_flags] >> 7
        held = store.get(name + message[end:question_end] + KINDS[dnssec_ok | message[3] & CD])
        return held is not None and second() < held.expires

    return check
