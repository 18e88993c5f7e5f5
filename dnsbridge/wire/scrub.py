"""Scrubbing a reply: only the requested records are kept, so that an upstream cannot slip in others.

answer      the CNAME chain from the question's name, at most MAX_CHAIN links, with the DNAMEs behind it, and the
            records of the requested type at its end; with DO also their signatures
authority   in a negative answer the SOA of a zone above the name; with DO also proofs and signatures (RFC 4035)
additional  nothing

A chain leads on, so that its last name must be asked for elsewhere, if that name

    belongs to a cluster            whatever the upstream says about it
    is in another forward zone      and the reply has no data for it
    belongs to this upstream        and the reply has neither data nor an SOA nor an error for it, nor RA

A reply that leads on is kept up to its last alias, without its authority section: that section is about a name that
others answer for.
"""

from collections.abc import Callable
from enum import Enum

import msgspec

from dnsbridge.wire.compose import RRset
from dnsbridge.wire.constants import AA, MAX_NAME, RA, Rcode, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.name import is_below
from dnsbridge.wire.whole_message import Message

MAX_CHAIN = 10
"""Links of a chain, over all servers that are asked for parts of it."""
_PROOFS = frozenset({47, 50})
"""NSEC, NSEC3."""
_ALIAS_ITSELF = frozenset({int(Type.CNAME), int(Type.ANY)})
"""Types that the CNAME itself answers, so that it is not followed (RFC 1034 section 3.6.2)."""


class Whose(Enum):
    """Who answers for a name, as seen from the forward zone or the cluster's CoreDNS that was asked."""

    HERE = "who was asked, or nobody"
    ANOTHER = "another forward zone"
    CLUSTER = "another cluster"


class Scrubbed(msgspec.Struct, frozen=True):
    """The kept record sets of a reply."""

    answer: list[RRset]
    authority: list[RRset]
    leads_on: bool = False
    """The answer ends at an alias whose target must still be asked for elsewhere."""


def scrub(
    message: Message, name: bytes, qtype: int, dnssec_ok: bool, whose: Callable[[bytes], Whose] | None = None
) -> Scrubbed | Failure:
    """The kept part of a reply to a question for `name` (in any case), or why the reply is no answer.

    `whose` says who answers for a folded name; without it no chain leads on.
    """
    by_owner: dict[bytes, list[RRset]] = {}
    for rrset in message.answer:
        by_owner.setdefault(rrset.owner.lower(), []).append(rrset)
    kept: list[RRset] = []
    passed: set[bytes] = set()
    owner = name
    while True:
        folded = owner.lower()
        here = by_owner.get(folded, [])
        wanted = [rrset for rrset in here if rrset.rtype == qtype or qtype == Type.ANY]
        if dnssec_ok:
            wanted += [rrset for rrset in here if rrset.rtype == Type.RRSIG and qtype not in (Type.RRSIG, Type.ANY)]
        alias = None if qtype in _ALIAS_ITSELF else _alias(by_owner, owner, bool(wanted))
        if isinstance(alias, Failure):
            return alias
        if alias is None:
            kept += wanted
            break
        if folded in passed:
            return Failure.CHAIN_LOOP
        if len(passed) == MAX_CHAIN:
            return Failure.CHAIN
        passed.add(folded)
        target = alias.data[0]
        kept += [rrset for rrset in _dnames(by_owner, folded, target.lower(), dnssec_ok) if rrset not in kept]
        kept.append(alias)
        kept += [rrset for rrset in wanted if rrset.rtype == Type.RRSIG]
        owner = target
        if whose and whose(owner.lower()) is Whose.CLUSTER:
            return Scrubbed(kept, [], leads_on=qtype != Type.DNAME)
    if whose and passed and not wanted and qtype != Type.DNAME:
        ended = (
            message.flags & RA
            or message.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN)
            or any(_is_soa_above(rrset, folded) for rrset in message.authority)
        )
        if whose(folded) is Whose.ANOTHER or not ended:
            return Scrubbed(kept, [], leads_on=True)
    if not kept and _is_referral(message):
        return Failure.REFERRAL
    authority = []
    for rrset in message.authority:
        soa = _is_soa_above(rrset, folded) or _is_soa_above(rrset, name.lower())
        if (soa and not wanted) or (dnssec_ok and rrset.rtype in _PROOFS | {Type.RRSIG}):
            authority.append(rrset)
    return Scrubbed(kept, authority)


def _alias(by_owner: dict[bytes, list[RRset]], owner: bytes, answered: bool) -> RRset | Failure | None:
    """The CNAME at a name; if it has neither CNAME nor data, the CNAME from a DNAME above (RFC 6672 section 3.1)."""
    folded = owner.lower()
    for rrset in by_owner.get(folded, []):
        if rrset.rtype == Type.CNAME:
            # A name must not have several CNAMEs; if it does, the first is followed.
            return RRset(rrset.owner, rrset.rtype, rrset.ttl, rrset.data[:1])
    if answered:
        return None
    for above, held in by_owner.items():
        if above != folded and is_below(folded, above):
            for rrset in held:
                if rrset.rtype == Type.DNAME:
                    target = owner[: -len(above)] + rrset.data[0]
                    if len(target) > MAX_NAME:
                        return Failure.DNAME
                    return RRset(owner, Type.CNAME, rrset.ttl, (target,))
    return None


def _dnames(by_owner: dict[bytes, list[RRset]], owner: bytes, target: bytes, dnssec_ok: bool) -> list[RRset]:
    """The DNAMEs above a name that its CNAME comes from (RFC 6672 section 2.2), and their signatures."""
    kept: list[RRset] = []
    for above, held in by_owner.items():
        if above == owner or not is_below(owner, above):
            continue
        for rrset in held:
            if rrset.rtype == Type.DNAME and owner[: -len(above)] + rrset.data[0].lower() == target:
                kept.append(rrset)
                kept += [other for other in held if dnssec_ok and other.rtype == Type.RRSIG]
    return kept


def _is_soa_above(rrset: RRset, name: bytes) -> bool:
    return rrset.rtype == Type.SOA and is_below(name, rrset.owner.lower())


def _is_referral(message: Message) -> bool:
    """Whether a reply without an answer is a referral (RFC 2308 section 2.2): NS and no SOA, and neither RA nor AA."""
    types = {rrset.rtype for rrset in message.authority}
    return (
        message.rcode == Rcode.NOERROR and not message.flags & (RA | AA) and Type.NS in types and Type.SOA not in types
    )
