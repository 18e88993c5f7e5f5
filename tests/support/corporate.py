"""A corporate DNS for tests of the running program: every name exists in it, and it notes what it was asked."""

from collections.abc import Sequence

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from tests.support.scripted_upstream import Reply, ScriptedUpstream

DATA = {
    "A": "192.0.2.80",
    "AAAA": "2001:db8::80",
    "PTR": "host.example.com.",
    "TYPE65400": r"\# 5 00c00c03ff",
}
"""By type: the data of the one record that every name has."""
SOA = "ns.example.com. admin.example.com. 1 7200 1800 86400 300"
SLOW = 0.3
"""Seconds that an answer for a name takes whose first label is `slow`."""


def corporate_dns(**data: str) -> ScriptedUpstream:
    """The server; `data` replaces or adds records by type."""
    held = DATA | data

    def behave(octets: bytes) -> Sequence[Reply]:
        query = dns.message.from_wire(octets)
        name, rtype = query.question[0].name, dns.rdatatype.to_text(query.question[0].rdtype)
        response = dns.message.make_response(query, recursion_available=True)
        # What only the server that has the data may set, and a bit that nobody may: a forwarder clears both.
        response.flags |= dns.flags.AA | 0x40
        if rtype in held:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", rtype, held[rtype]))
        else:
            response.authority.append(dns.rrset.from_text("example.com.", 300, "IN", "SOA", SOA))
        return [Reply(response.to_wire(), SLOW if name.labels[0] == b"slow" else 0.0)]

    return ScriptedUpstream(behave, tcp=[behave])
