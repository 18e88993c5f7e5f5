"""Probes: our own questions to upstreams that are not up, until they reply, so clients do not pay for finding out."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Sequence

from dnsbridge.resolvers.forward.edns_ability import without_opt
from dnsbridge.resolvers.forward.outstanding import ERRORS_TO_BLAME
from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.upstream import Carrier, Upstream
from dnsbridge.wire.constants import HEADER_SIZE, Class, Type
from dnsbridge.wire.query import compose

ROOT_NS = compose(b"\0", Type.NS, Class.IN, 0)[2:]
"""A question for the root's NS, which each probe asks, alone while no question has been answered: all but its ID."""

FORGET_SECONDS = 2.0


class Probe:
    """One probe (an Asker)."""

    __slots__ = ("wire", "question", "socket", "identity", "asked_at", "ended", "_upstream", "_heard")

    socket: Carrier
    identity: bytes
    exact = False

    def __init__(
        self, upstream: Upstream, wire: bytes, question: bytes, now: float, heard: Callable[[float], None]
    ) -> None:
        self._heard = heard
        self.wire = wire
        self.question = question
        self._upstream = upstream
        self.asked_at = now
        self.ended = False
        """It has a reply, or was refused."""

    def replied(self, reply: bytes) -> None:
        """See Asker."""
        self.ended = True
        health = self._upstream.health
        now = time.monotonic()
        if reply[3] & 15 in ERRORS_TO_BLAME:
            health.replied_with_error(now, self.asked_at)
        else:
            health.replied(now, self.asked_at)
        self._heard(now)

    def folded(self, upstream: UdpUpstream) -> None:
        """See Asker: the case is not looked at."""

    def refused(self, failed: Carrier) -> None:
        """See Asker: the port is still closed."""
        self.ended = True


class Prober:
    """Probes the upstreams of one zone; has a timer only while one of them is not up."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        sample: Callable[[Upstream], tuple[bytes, bytes] | None],
        heard: Callable[[float], None] = lambda now: None,
    ) -> None:
        """`sample` gives a question to ask an upstream, one that was answered lately, if there is one: the message
        without its ID, and its question section. `heard` is called with the time when a probe has a reply.
        """
        self._upstreams = tuple(upstreams)
        self._sample = sample
        self._heard = heard
        self._due = math.inf
        self._out: dict[Upstream, list[Probe]] = {}
        self._expiries: dict[Upstream, asyncio.TimerHandle] = {}
        self._timer: asyncio.TimerHandle | None = None

    def wake(self, now: float) -> None:
        """Set the timer for the next probe that is due; may be called at any time."""
        due = min([upstream.health.probe_at for upstream in self._upstreams])
        if self._timer is not None:
            if due >= self._due:
                return
            self._timer.cancel()
            self._timer = None
        if due < math.inf:
            self._due = due
            # A millisecond later than due: the loop's clock may be that coarse.
            self._timer = asyncio.get_running_loop().call_later(max(due - now, 0.0) + 0.001, self._look)

    def close(self) -> None:
        """Probe no more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        for expiry in self._expiries.values():
            expiry.cancel()
        self._expiries.clear()

    def _look(self) -> None:
        self._timer = None
        now = time.monotonic()
        for upstream in self._upstreams:
            if upstream.health.probe_at <= now:
                self._probe(upstream, now)
        self.wake(now)

    def _probe(self, upstream: Upstream, now: float) -> None:
        upstream.health.probed(now, random.random())
        expiry = self._expiries.pop(upstream, None)
        if expiry:
            expiry.cancel()
        earlier = self._out.pop(upstream, [])
        if earlier and not any(probe.ended for probe in earlier):
            earlier[0].socket.timed_out(now, earlier[0].asked_at, upstream.health.alive_since(earlier[0].asked_at))
        _forget(earlier)
        # The upstream should know a name that clients ask for, but it need not know the root. It may be slow for that
        # name, however, if its answer has expired.
        sample = self._sample(upstream)
        asked = [self._ask(upstream, *each, now) for each in ((sample, root_ns()) if sample else (root_ns(),))]
        self._out[upstream] = [probe for probe in asked if probe]
        self._expiries[upstream] = asyncio.get_running_loop().call_later(FORGET_SECONDS, self._expire, upstream)

    def _ask(self, upstream: Upstream, wire: bytes, question: bytes, now: float) -> Probe | None:
        if upstream.health.edns.asks_without(now):
            wire = without_opt(wire, question) or wire
        probe = Probe(upstream, wire, question, now, self._heard)
        upstream.probes += 1
        return probe if upstream.ask(probe) else None

    def _expire(self, upstream: Upstream) -> None:
        """Forget the probes of an upstream that is up by other replies: they would keep a socket open."""
        del self._expiries[upstream]
        if upstream.health.up:
            _forget(self._out.pop(upstream, []))


def _forget(probes: list[Probe]) -> None:
    for probe in probes:
        if not probe.ended:
            probe.ended = True
            probe.socket.forget(probe.identity)


def root_ns() -> tuple[bytes, bytes]:
    """A sample that any server has an answer to, if only an error."""
    return ROOT_NS, ROOT_NS[HEADER_SIZE - 2 :]
