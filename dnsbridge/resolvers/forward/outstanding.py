"""The outstanding attempts at one upstream, by how long they have waited: time goes in, attempts that are due come out.

    fresh    waits for its reply
    slow     has waited so long that another upstream may be asked too
    late     has timed out; its reply is still taken

All attempts in one stage have the same limit, so the first is always the oldest, and each needs only the time when it
was asked.
"""

import time
from itertools import takewhile
from typing import Protocol

from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.upstream import Asker, Carrier, Upstream
from dnsbridge.wire.constants import Rcode

LATE_LIMIT = 30_000
"""Late attempts that are kept; over the limit the oldest is forgotten."""
ERRORS_TO_BLAME = frozenset({Rcode.SERVFAIL, Rcode.REFUSED})
"""RCODEs that are the upstream's fault if another upstream has an answer."""


class Attempt(Asker, Protocol):
    """One question at one upstream."""

    opt: bool
    """Whether its message has an OPT record."""

    def since(self, asked_at: float) -> float:
        """When its question began, while the question is in flight; else when the attempt was made."""
        ...

    def missed(self, upstream: Upstream) -> None:
        """It timed out at an upstream that answers others: the question may be slow, or the attempt lost."""
        ...

    def slow(self, now: float, upstream: Upstream) -> None:
        """It waits longer than is usual at this upstream."""
        ...

    def lost(self, now: float) -> None:
        """It was live, and ended without a reply, or became late."""
        ...


class Question(Attempt, Protocol):
    """A question; it is its own first attempt, and may have further ones."""

    def take(self, attempt: Attempt, attempts: "Attempts", reply: bytes, hedge: bool) -> None:
        """A reply to an attempt came; `hedge`: the attempt was made while an earlier one was slow."""
        ...

    def fold(self, upstream: UdpUpstream, wire: bytes) -> None:
        """A reply to this message came that is right except for the case of its name."""
        ...


class Attempts:
    """The attempts at one upstream, each with the time when it was asked (monotonic seconds)."""

    __slots__ = ("upstream", "answered", "fresh", "slow", "late")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.answered: Attempt | None = None
        """The last question answered from here: a good one to probe with."""
        self.fresh: dict[Attempt, float] = {}
        self.slow: dict[Attempt, float] = {}
        self.late: dict[Attempt, float] = {}

    def __contains__(self, attempt: Attempt) -> bool:
        return attempt in self.fresh or attempt in self.slow or attempt in self.late

    def __len__(self) -> int:
        return len(self.fresh) + len(self.slow) + len(self.late)

    def replied(self, attempt: Attempt, reply: bytes, now: float, refused: str) -> bool:
        """A reply came: tell the upstream's health. `refused` says how it refuses OPT; empty: it does not.

        Returns whether the attempt was live: fresh or slow.
        """
        asked_at = self.fresh.pop(attempt, 0.0)
        live = True
        if not asked_at:
            live = attempt in self.slow
            asked_at = (self.slow if live else self.late).pop(attempt)
        health = self.upstream.health
        if attempt.opt and not refused:
            health.edns.answered(now, asked_at)
            health.weigh()
        if reply[3] & 15 in ERRORS_TO_BLAME:
            health.replied_with_error(now, asked_at)
        elif live:
            health.replied(now, asked_at)
        else:
            health.late(now, asked_at)
        return live

    def expect_more(self, attempt: Attempt, now: float) -> None:
        """A reply came that may be forged: take one more, as if the attempt were late."""
        if attempt.socket.expect_more(attempt):
            self.late[attempt] = now

    def drop(self, attempt: Attempt) -> bool:
        """Stop waiting for an attempt; returns whether it was live."""
        self.late.pop(attempt, None)
        return self.fresh.pop(attempt, None) is not None or self.slow.pop(attempt, None) is not None

    def abandon(self, attempt: Attempt) -> None:
        """Stop waiting for an attempt and take no reply to it, if it waits here at all."""
        for stage in (self.fresh, self.slow, self.late):
            if stage.pop(attempt, None) is not None:
                attempt.socket.forget(attempt.identity)

    def turn_slow(self, asked_until: float) -> list[Attempt]:
        """Make the fresh attempts slow that were asked at `asked_until` or before; returns them."""
        moved = _oldest(self.fresh, asked_until)
        for attempt in moved:
            self.slow[attempt] = self.fresh.pop(attempt)
        return moved

    def turn_late(self, asked_until: float) -> list[tuple[Attempt, float]]:
        """Make the slow attempts late that were asked at `asked_until` or before; returns them with their times."""
        moved = [(attempt, self.slow.pop(attempt)) for attempt in _oldest(self.slow, asked_until)]
        self.late.update(moved)
        for attempt in list(self.late)[: max(0, len(self.late) - LATE_LIMIT)]:
            self.upstream.late_dropped += 1
            self._forget(attempt)
        return moved

    def forget_late(self, asked_until: float) -> None:
        """Forget the late attempts that were asked at `asked_until` or before."""
        for attempt in _oldest(self.late, asked_until):
            self._forget(attempt)

    def due(self, hedge_after: float, timeout: float, deadline: float) -> float:
        """When the next attempt has waited as long as its stage allows (in seconds); infinite if there is none."""
        return min(
            next(iter(self.fresh.values()), float("inf")) + hedge_after,
            next(iter(self.slow.values()), float("inf")) + timeout,
            next(iter(self.late.values()), float("inf")) + deadline,
        )

    def clear(self) -> None:
        """Forget all attempts."""
        for stage in (self.fresh, self.slow, self.late):
            stage.clear()

    def _forget(self, attempt: Attempt) -> None:
        del self.late[attempt]
        attempt.socket.forget(attempt.identity)


class FurtherAttempt:
    """An attempt after a question's first, or one without OPT (an Attempt)."""

    __slots__ = ("wire", "question", "exact", "opt", "socket", "identity", "attempts", "_of", "_hedge")

    socket: Carrier
    identity: bytes

    def __init__(self, of: Question, attempts: Attempts, hedge: bool, left_out: bytes | None) -> None:
        """`left_out` is the message without OPT, if that is sent."""
        self.wire = left_out or of.wire
        self.opt = of.opt and left_out is None
        self.question = of.question
        self.exact = of.exact
        self.attempts = attempts
        self._of = of
        self._hedge = hedge

    def since(self, asked_at: float) -> float:
        """See Attempt."""
        return self._of.since(asked_at)

    def missed(self, upstream: Upstream) -> None:
        """See Attempt."""
        self._of.missed(upstream)

    def replied(self, reply: bytes) -> None:
        """See Asker."""
        self._of.take(self, self.attempts, reply, self._hedge)

    def refused(self, failed: Carrier) -> None:
        """See Asker."""
        if self.attempts.drop(self):
            self.lost(time.monotonic())

    def folded(self, upstream: UdpUpstream) -> None:
        """See Asker."""
        self._of.fold(upstream, self.wire)

    def slow(self, now: float, upstream: Upstream) -> None:
        """See Attempt."""
        self._of.slow(now, upstream)

    def lost(self, now: float) -> None:
        """See Attempt."""
        self._of.lost(now)


def _oldest(stage: dict[Attempt, float], asked_until: float) -> list[Attempt]:
    return [attempt for attempt, _ in takewhile(lambda item: item[1] <= asked_until, stage.items())]
