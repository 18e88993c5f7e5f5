"""Upstreams as they are found: without EDNS in all the ways there are (RFC 8906 section 3), for ScriptedUpstream."""

from collections.abc import Callable, Sequence

import dns.flags
import dns.message

from tests.support.scripted_upstream import Behaviour, Reply, answer, silence

Make = Callable[[Behaviour], Behaviour]
"""From what it says to a question without OPT to the whole behaviour."""


def has_opt(message: bytes) -> bool:
    """Whether a question has an OPT record."""
    return dns.message.from_wire(message).edns >= 0


def to_opt(says: Behaviour) -> Make:
    """Says this to a question with OPT."""
    return lambda plain: lambda message: (says if has_opt(message) else plain)(message)


def bare(rcode: int, flags: int = 0x8100) -> Behaviour:
    """A header alone."""
    return lambda message: [Reply(message[:2] + (flags | rcode).to_bytes(2, "big") + bytes(8))]


def without_opt(rcode: int) -> Behaviour:
    """A reply with this RCODE that repeats the question, and no OPT."""

    def behave(message: bytes) -> Sequence[Reply]:
        question = dns.message.from_wire(message)
        response = dns.message.Message(question.id)
        response.flags = dns.flags.QR | dns.flags.RD
        response.question = question.question
        response.set_rcode(rcode)  # type: ignore[arg-type]
        return [Reply(response.to_wire())]

    return behave


def echo_opt(rcode: int) -> Behaviour:
    """The whole question back, OPT and all, with QR and this RCODE."""
    return lambda message: [Reply(message[:2] + bytes([message[2] | 0x80, message[3] | rcode]) + message[4:])]


WITHOUT_EDNS: dict[str, Make] = {
    "FORMERR, the question repeated": to_opt(without_opt(1)),
    "FORMERR, OPT repeated as well": to_opt(echo_opt(1)),
    "FORMERR, a bare header": to_opt(bare(1)),
    "NOTIMP, the question repeated": to_opt(without_opt(4)),
    "NOTIMP, a bare header": to_opt(bare(4)),
    "BADVERS to version 0": to_opt(answer(rcode=16)),
    "silence": to_opt(silence),
}
