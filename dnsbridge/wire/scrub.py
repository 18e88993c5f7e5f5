"""What of a reply is kept: the records that were asked for, and nothing that an upstream could slip in beside them.

answer      the CNAME (DNAME) chain from the question's name, at most MAX_CHAIN links, and the records of the type
            asked for at its end; their signatures
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
    by_owner: dict[bytes, list[RRset]] = {}
    for rrset in message.answer:
        by_owner.setdefault(rrset.owner.lower(), []).append(rrset)
    owner = name
    for _ in range(MAX_CHAIN + 1):
        here = by_owner.get(owner, [])
        wanted = [rrset for rrset in here if rrset.rtype == qtype or qtype == Type.ANY]
        if dnssec_ok:
            wanted += [rrset for rrset in here if rrset.rtype == Type.RRSIG and rrset not in wanted]
        alias = next((rrset for rrset in here if rrset.rtype == Type.CNAME), None)
        dnames = [rrset for above, held in by_owner.items() if is_below(owner, above) for rrset in held]
        kept += [rrset for rrset in dnames if rrset.rtype == Type.DNAME and rrset not in kept]
        if alias is None or qtype in (Type.CNAME, Type.ANY):
            kept += wanted
            break
        kept.append(alias)
        kept += [rrset for rrset in wanted if rrset.rtype == Type.RRSIG]
        owner = alias.data[0].lower()
    else:
        return None
    authority = []
    for rrset in message.authority:
        above = is_below(owner, rrset.owner.lower()) or is_below(name, rrset.owner.lower())
        if (rrset.rtype == Type.SOA and above) or (dnssec_ok and rrset.rtype in _PROOFS | {Type.RRSIG}):
            authority.append(rrset)
    return Message(message.flags, kept, authority, [])
