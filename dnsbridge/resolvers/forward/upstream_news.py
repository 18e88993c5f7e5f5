"""One line in the log when an upstream goes down, comes back, becomes slow, lacks EDNS, or has it again."""

import logging
from collections.abc import Sequence

from dnsbridge.observe.limits import LineLimit
from dnsbridge.resolvers.forward.health import Condition
from dnsbridge.resolvers.forward.patience import DEADLINE
from dnsbridge.resolvers.forward.stream import StreamUpstream
from dnsbridge.resolvers.forward.upstream import Upstream

log = logging.getLogger(__name__)

BURST = 6
INTERVAL = 60.0
"""Log lines about one upstream: BURST at once, then one each INTERVAL seconds."""


class _Told:
    """What the log last said about an upstream."""

    __slots__ = ("upstream", "down", "without_until", "slow_since", "lines")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.down = False
        self.without_until = 0.0
        self.slow_since: float | None = None
        self.lines = LineLimit(BURST, INTERVAL)


class UpstreamNews:
    """Compares the upstreams with what the log last said about them."""

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self._told = [_Told(upstream) for upstream in upstreams]

    def look(self, now: float) -> None:
        """Write what is new; times are monotonic seconds."""
        for told in self._told:
            health = told.upstream.health
            down = health.condition is Condition.DOWN
            if down is not told.down:
                told.down = down
                # A StreamUpstream logs by itself why its connection failed.
                if not isinstance(told.upstream, StreamUpstream):
                    if down:
                        _write(told, now, "upstream_down", f"is down: {health.problem}", warn=True)
                    else:
                        _write(told, now, "upstream_up", "is up again", warn=False)
            if health.slow_since != told.slow_since:
                told.slow_since = health.slow_since
                what = f"is slow: it answers others, but one question not within {DEADLINE:g} s"
                _write(told, now, "upstream_slow", what, warn=True)
            edns = health.edns
            if edns.without_until != told.without_until:
                told.without_until = edns.without_until
                if edns.without_until:
                    minutes = round((edns.without_until - now) / 60)
                    what = f"lacks EDNS ({edns.problem}): asked without it for {minutes} minutes"
                    _write(told, now, "upstream_without_edns", what, warn=False)
                else:
                    _write(told, now, "upstream_with_edns", "has EDNS again", warn=False)


def _write(told: _Told, now: float, event: str, what: str, *, warn: bool) -> None:
    held_back = told.lines.take(now)
    if held_back is not None:
        more = f" ({held_back} lines about it were held back)" if held_back else ""
        level = logging.WARNING if warn else logging.INFO
        log.log(level, "upstream %s %s%s", told.upstream, what, more, extra={"event": event})
