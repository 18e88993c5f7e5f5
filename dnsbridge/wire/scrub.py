"""What of a reply is kept: the records that were asked for, and nothing that an upstream could slip in beside them.

answer      the CNAME chain from the question's name, at most MAX_CHAIN links, with the DNAMEs that it follows from, and
            the records of the type asked for at its end; with DO their signatures
authority   of a negative answer the SOA of a zone above the name; with DO the proofs and signatures (RFC 4035)
additional  nothing
"""

from dnsbridge.wire.compose import RRset
from dnsbridge.wire.constants import Type
from dnsbridge.wire.name import is_below
from dnsbridge.wire.walk import Message

MAX_CHAIN = 10
_PROOFS = frozenset({47, 50})
"""NSEC, NSEC3."""


def scrub(message: Message, name: bytes, qtype: int, dnssec_ok: bool) -> Message | None:
    """The message with what belongs to the question (`name`: folded) alone; None if its chain does not end."""
    kept: list[RRset] = []
    found = False
    by_owner: dict[bytes, list[RRset]] = {}
    for rrset in message.answer:
        by_owner.setdefault(rrset.owner.lower(), []).append(rrset)
    owner = name
    for _ in range(MAX_CHAIN + 1):
        here = by_owner.get(owner, [])
        wanted = [rrset for rrset in here if rrset.rtype == qtype or qtype == Type.ANY]
        if dnssec_ok:
            wanted += [rrset for rrset in here if rrset.rtype == Type.RRSIG and qtype not in (Type.RRSIG, Type.ANY)]
        alias = next((rrset for rrset in here if rrset.rtype == Type.CNAME), None)
        if alias is None or qtype in (Type.CNAME, Type.ANY):
            kept += wanted
            found = bool(wanted)
            break
        target = alias.data[0]
        kept += [rrset for rrset in _dnames(by_owner, owner, target.lower(), dnssec_ok) if rrset not in kept]
        # Of several CNAMEs, which there must not be, the one that is followed.
        kept.append(RRset(alias.owner, alias.rtype, alias.ttl, (target,)))
        kept += [rrset for rrset in wanted if rrset.rtype == Type.RRSIG]
        owner = target.lower()
    else:
        return None
    authority = []
    for rrset in message.authority:
        above = is_below(owner, rrset.owner.lower()) or is_below(name, rrset.owner.lower())
        if (rrset.rtype == Type.SOA and above and not found) or (dnssec_ok and rrset.rtype in _PROOFS | {Type.RRSIG}):
            authority.append(rrset)
    return Message(message.flags, kept, authority, [])


def _dnames(by_owner: dict[bytes, list[RRset]], owner: bytes, target: bytes, dnssec_ok: bool) -> list[RRset]:
    """The DNAMEs above a name that make its CNAME what it is (RFC 6672 section 2.2), and their signatures."""
    kept: list[RRset] = []
    for above, held in by_owner.items():
        if above == owner or not is_below(owner, above):
            continue
        for rrset in held:
            if rrset.rtype == Type.DNAME and owner[: -len(above)] + rrset.data[0].lower() == target:
                kept.append(rrset)
                kept += [other for other in held if dnssec_ok and other.rtype == Type.RRSIG]
    return kept
