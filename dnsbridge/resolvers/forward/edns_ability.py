"""The EDNS ability of one upstream, judged from its replies to OPT records: time goes in, decisions come out.

    unknown or able   asked with OPT
    doubted           both signs came in a question, but not yet in enough questions; asked with OPT
    unable            asked without OPT until the term ends; then the next question tries OPT again

The two signs in a question: OPT was refused (FORMERR, NOTIMP, BADVERS) or met silence, and the same question without
OPT got a proper answer. One such question may be forged or unlucky, so a few in a row must agree, without an answer to
OPT in between (RFC 6891 sections 6.2.2 and 7).
"""

import math

from dnsbridge.wire import edns
from dnsbridge.wire.constants import HEADER_SIZE, ExtendedError, Rcode, Type

REFUSALS = 2
"""Questions in a row that show that OPT is refused."""
SILENCES = 3
"""Questions in a row that show that OPT meets silence: more, because a network loses datagrams."""
FIRST_TERM = 900.0
LONGEST_TERM = 86400.0
"""Seconds without OPT: the first time, and at most."""
NO_DNSSEC = edns.extended_error(ExtendedError.OTHER, "the upstream knows no EDNS, so there are no DNSSEC records")
"""The option that tells a client that set DO why it gets no signatures (RFC 8914 section 4.1)."""
_OPT_OWNER_AND_TYPE = b"\0" + Type.OPT.to_bytes(2, "big")
_BADVERS_HIGH = int(Rcode.BADVERS) >> 4
_REFUSING = frozenset({int(Rcode.FORMERR), int(Rcode.NOTIMP)})
_AFTER_ID = HEADER_SIZE - 2
"""Octets of a header without its ID."""


class EdnsAbility:
    """The EDNS ability of one upstream. Times are monotonic seconds."""

    __slots__ = ("answered_at", "without_until", "since", "problem", "_refusals", "_silences", "_term", "_changed_at")

    def __init__(self) -> None:
        self.answered_at = -math.inf
        """When the newest question was asked that got a reply to OPT other than a refusal."""
        self.without_until = 0.0
        """When OPT is tried again; 0 while it is sent."""
        self.since: float | None = None
        """When it was last found unable; None: never."""
        self.problem = ""
        """What it did with OPT, in a few words."""
        self._refusals = 0
        self._silences = 0
        self._term = FIRST_TERM
        self._changed_at = -math.inf
        """When the last term ended with an answer to OPT."""

    @property
    def doubted(self) -> bool:
        """Whether its answers to OPT matter at the moment."""
        return bool(self._refusals or self._silences or self.without_until)

    @property
    def silence_turn(self) -> int:
        """The first datagram of a question, from 0, that goes without OPT while datagrams with OPT meet silence."""
        return 1 if self._silences or self.answered_at == -math.inf else 3

    def asks_without(self, now: float) -> bool:
        """Whether questions go without OPT."""
        return now < self.without_until

    def answered(self, now: float, asked_at: float) -> None:
        """A reply came that does not refuse the OPT record of its question."""
        self.answered_at = max(self.answered_at, asked_at)
        self._refusals = self._silences = 0
        if self.without_until and now >= self.without_until:
            self.without_until = 0.0
            self._changed_at = now

    def refused(self, now: float, problem: str) -> bool:
        """A question was refused with OPT and answered without; returns whether the upstream is now unable."""
        self._refusals += 1
        return self._refusals >= self._needed(now, REFUSALS) and self._become_unable(now, problem)

    def silent(self, now: float) -> bool:
        """A question met silence with OPT and was answered without; returns whether the upstream is now unable."""
        self._silences += 1
        return self._silences >= self._needed(now, SILENCES) and self._become_unable(now, "silence")

    def _needed(self, now: float, first: int) -> int:
        """Questions needed: one is enough when OPT is tried again after a term."""
        return 1 if self.without_until and now >= self.without_until else first

    def _become_unable(self, now: float, problem: str) -> bool:
        if self.asks_without(now):
            return False  # a question that was in flight at the same time
        # An upstream that was able for less time than its term lasted flips: it is tried less and less often.
        again = self.without_until or now - self._changed_at < self._term
        self._term = min(self._term * 2, LONGEST_TERM) if again else FIRST_TERM
        if not self.without_until:
            self.since = now
        self.without_until = now + self._term
        self.problem = problem
        self._refusals = self._silences = 0
        return True


def without_opt(wire: bytes, question: bytes) -> bytes | None:
    """A message after its ID, without the OPT record at its end; None if it has none, or other records."""
    start = _AFTER_ID + len(question)
    if wire[4:_AFTER_ID] != b"\0\0\0\0\0\1" or not wire.startswith(_OPT_OWNER_AND_TYPE, start):
        return None
    if start + edns.OPT_SIZE + int.from_bytes(wire[start + 9 : start + edns.OPT_SIZE], "big") != len(wire):
        return None
    return wire[:8] + b"\0\0" + wire[_AFTER_ID:start]


def refusal(reply: bytes, question: bytes) -> str:
    """How a reply refuses the OPT record of its question: FORMERR, NOTIMP or BADVERS; empty if it does not."""
    rcode = reply[3] & 15
    if rcode in _REFUSING:
        return Rcode(rcode).name
    return Rcode.BADVERS.name if is_badvers(reply, question) else ""


def is_badvers(reply: bytes, question: bytes) -> bool:
    """Whether a reply says BADVERS: nothing but an OPT record with the upper bits of that RCODE."""
    start = HEADER_SIZE + len(question)
    return (
        not reply[3] & 15
        and reply[6:HEADER_SIZE] == b"\0\0\0\0\0\1"
        and reply.startswith(_OPT_OWNER_AND_TYPE, start)
        and len(reply) >= start + edns.OPT_SIZE
        and reply[start + 5] == _BADVERS_HIGH
    )
