"""Questions as octets, with the answers that are right, and files of them for dnsperf.

A library would take longer to make half a million questions than a server to answer them.
"""

import random
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from benchmarks.parts.peers import ADDRESS, Peer

UDP_SIZE = 1232
"""What a question with EDNS offers to take."""
_TYPES = {"A": 1, "PTR": 12, "AAAA": 28, "SRV": 33}
_COOKIE = 10
"""The option of a cookie (RFC 7873); the client's part has eight octets."""
_HEADER_OCTETS = 12


class Question(NamedTuple):
    """A question and its answer."""

    message: bytes
    """With an ID of zero, which dnsperf replaces."""
    answers: frozenset[str] = frozenset()
    """The data of the answer's records of the type that is asked for, as text."""
    rcode: str = "NOERROR"


def message(owner: str, kind: str, edns: bool = False, cookie: bytes = b"") -> bytes:
    """The octets of a question with RD set; a cookie needs EDNS."""
    labels = [label.encode() for label in owner.removesuffix(".").split(".")]
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    question = name + struct.pack("!HH", _TYPES[kind], 1)
    if not edns:
        return struct.pack("!6H", 0, 0x0100, 1, 0, 0, 0) + question
    option = struct.pack("!HH", _COOKIE, len(cookie)) + cookie if cookie else b""
    record = struct.pack("!BHHIH", 0, 41, UDP_SIZE, 0, len(option)) + option
    return struct.pack("!6H", 0, 0x0100, 1, 0, 0, 1) + question + record


def random_case(plain: bytes, chance: random.Random) -> bytes:
    """A question in which each letter of the name is upper or lower case by chance."""
    end = plain.index(0, _HEADER_OCTETS)
    letters = bytes(0x20 if 97 <= octet <= 122 else 0 for octet in plain[_HEADER_OCTETS:end])
    mask = int.from_bytes(letters, "big") & chance.getrandbits(8 * len(letters))
    name = int.from_bytes(plain[_HEADER_OCTETS:end], "big") ^ mask
    return plain[:_HEADER_OCTETS] + name.to_bytes(len(letters), "big") + plain[end:]


def write(questions: Iterable[Question], path: Path) -> None:
    """A file for dnsperf -B: each message after its length, as over TCP."""
    path.write_bytes(b"".join(len(one.message).to_bytes(2, "big") + one.message for one in questions))


def wrong_answer(peer: Peer, question: Question, tcp: bool = False) -> str:
    """What is wrong with a server's answer, in a few words; empty when it is right."""
    query = dns.message.from_wire(question.message)
    asked = query.question[0]
    try:
        ask = dns.query.tcp if tcp else dns.query.udp
        answer = ask(query, ADDRESS, timeout=2, port=peer.port)
    except (OSError, dns.exception.DNSException) as error:
        return f"{asked}: {type(error).__name__}"
    if (rcode := dns.rcode.to_text(answer.rcode())) != question.rcode:
        return f"{asked}: {rcode}"
    found = {str(record) for rrset in answer.answer if rrset.rdtype == asked.rdtype for record in rrset}
    return "" if found == question.answers else f"{asked}: {len(found)} records that are not those expected"
