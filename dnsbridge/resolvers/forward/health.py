"""The health of one upstream, judged from its replies and silences: time goes in, decisions come out.

    UP        asked without reserve
    SUSPECT   did not reply in time: other upstreams are asked first until it replies to any question, old or new
    DOWN      three timeouts, each of a question asked after the timeout before; or half of its last questions failed;
              or its port is closed. Only probes go there until a reply comes to a question asked since then

    timeout       smoothed RTT plus four times its variation (RFC 6298), doubled with each timeout in a row
    hedge_after   the 95th percentile of the last RTTs: a question that waits longer may go to another upstream too
    slow          a question waited longer than a dead upstream is given, while others were answered

A question failed if it got no reply, a reply that does not parse, or an error while another upstream had an answer. An
upstream is alive if it answers something asked later than a question. Silence to that question is then no timeout of
the upstream (see alive_since), and counts as a failure only if another attempt gets the answer in time.
"""

import math
from collections import deque
from enum import IntEnum

from dnsbridge.observe.histogram import Histogram
from dnsbridge.resolvers.forward.edns_ability import EdnsAbility

MIN_TIMEOUT = 0.05
MAX_TIMEOUT = 0.8
"""Seconds: also the timeout while there is no RTT yet."""
MIN_HEDGE = 0.01
_SMOOTHING = 1 / 8
_VARIATION_SMOOTHING = 1 / 4
"""The constants of RFC 6298 section 2."""
SAMPLES = 64
FEWEST_SAMPLES = 16
"""The fewest RTTs from which the 95th percentile is computed."""
_SAMPLES_PER_PERCENTILE = 8
SAMPLE_INTERVAL = 0.001
"""Seconds in which one RTT is enough: at tens of thousands of replies a second further RTTs say nothing new."""
WINDOW = 5.0
"""Seconds over which failures are compared with good replies, from the first failure on."""
FAILURES_TO_DOWN = 5
RATIO_TO_DOWN = 0.5
TIMEOUTS_TO_DOWN = 3
PROBE_INTERVAL = 1.0
MAX_PROBE_INTERVAL = 4.5
"""Seconds: less than the 5 in which a recovered upstream must be in use again."""
PROBE_BACKOFF = 1.5
PROBE_JITTER = 0.2
_RELAPSE = 10.0
"""Seconds: an upstream that fails again so soon after it came back is probed no more often than before."""
LATELY = 5.0
"""Seconds: an upstream that replied within this time is worth more attempts."""
SLOW_SECONDS = 60.0
"""Seconds without a slow question after which an upstream is no longer slow."""


class Condition(IntEnum):
    """The condition of an upstream; a lower value is asked sooner."""

    UP = 0
    SUSPECT = 1
    DOWN = 2


class Health:
    """The state of one upstream. Times are monotonic seconds."""

    __slots__ = (
        "condition",
        "caution",
        "edns",
        "heard_at",
        "alive_at",
        "slow_at",
        "slow_since",
        "slow_questions",
        "rtt",
        "srtt",
        "rttvar",
        "timeout",
        "hedge_after",
        "erring",
        "since",
        "problem",
        "errors",
        "probe_at",
        "good",
        "bad",
        "sample_at",
        "_samples",
        "_taken",
        "_window_start",
        "_timeouts",
        "_changed_at",
        "_timed_out_at",
        "_probes",
    )

    def __init__(self) -> None:
        self.condition = Condition.UP
        self.caution = False
        """Whether a question must not simply be sent: the upstream is not up, or its EDNS ability is in doubt."""
        self.edns = EdnsAbility()
        self.heard_at = -math.inf
        """When the last reply came, to a millisecond."""
        self.alive_at = -math.inf
        """When the newest question with a reply was asked, to a millisecond."""
        self.slow_at = -math.inf
        """When a question was last found slow."""
        self.slow_since: float | None = None
        """When the upstream last became slow; None: it never was."""
        self.slow_questions = 0
        """Questions that waited longer than a dead upstream is given; a number that only grows."""
        self.rtt = Histogram()
        """Seconds from each question to its reply."""
        self.srtt = 0.0
        """Smoothed RTT in seconds; 0 before the first reply."""
        self.rttvar = 0.0
        self.timeout = MAX_TIMEOUT
        """Seconds that an attempt has."""
        self.hedge_after = math.inf
        self.erring = False
        """Whether it is down because it replies with errors; another error then is no recovery."""
        self.since: float | None = None
        """When the condition last changed; None: it never has."""
        self.problem = ""
        """Why it was last not up, in a few words, also when it is up again; empty: it always was up."""
        self.errors = 0
        """Replies with an error that may be the upstream's fault; a number that only grows."""
        self.probe_at = math.inf
        """When the next probe is due; infinite while it is up."""
        self.good = 0
        self.bad = 0
        """Good replies and failed questions in this window."""
        self._samples: deque[float] = deque(maxlen=SAMPLES)
        self._taken = 0
        self.sample_at = 0.0
        """Replies that come before this time are only counted in `good`."""
        self._window_start = -math.inf
        self._timeouts = 0
        """In a row; several questions that were in flight together count once."""
        self._changed_at = -math.inf
        """When it last became down, or up again."""
        self._timed_out_at = -math.inf
        self._probes = 0

    @property
    def up(self) -> bool:
        """Whether it is asked without reserve."""
        return self.condition is Condition.UP

    def alive_since(self, moment: float) -> bool:
        """Whether a question that was asked after a moment has a reply."""
        return self.alive_at > moment

    def replied_lately(self, now: float) -> bool:
        """Whether it is worth more than a few attempts."""
        return now - self.heard_at < LATELY

    def is_slow(self, now: float) -> bool:
        """Whether a question was slow in the last minute."""
        return now - self.slow_at < SLOW_SECONDS

    def found_slow(self, now: float) -> bool:
        """A question waits longer than a dead upstream is given; returns whether the upstream was not slow before."""
        became = not self.is_slow(now)
        self.slow_questions += 1
        self.slow_at = now
        if became:
            self.slow_since = now
        return became

    def weigh(self) -> None:
        """Set `caution`, after a change of the condition or of the EDNS ability."""
        self.caution = self.condition is not Condition.UP or self.edns.doubted

    def replied(self, now: float, asked_at: float) -> None:
        """A reply came that is not an error."""
        self.good += 1
        self.rtt.add(now - asked_at)
        if now < self.sample_at:
            return
        self.sample_at = now + SAMPLE_INTERVAL
        self.heard_at = now
        if asked_at > self.alive_at:
            self.alive_at = asked_at
        rtt = now - asked_at
        self._measure(rtt)
        if rtt <= MAX_TIMEOUT:
            self._timeouts = 0
            if self.condition is Condition.SUSPECT or (
                self.condition is Condition.DOWN and asked_at >= self._changed_at
            ):
                self._recover(now)
        if self.condition is not Condition.UP:
            self.sample_at = 0.0

    def replied_with_error(self, now: float, asked_at: float) -> None:
        """A SERVFAIL or REFUSED came: a sign of life, and not known yet to be the upstream's fault."""
        self.errors += 1
        if not self.erring:
            self.replied(now, asked_at)

    def late(self, now: float, asked_at: float) -> None:
        """A reply came to a question that had been counted as timed out."""
        self.bad = max(0, self.bad - 1)
        self.replied(now, asked_at)

    def timed_out(self, now: float, asked_at: float) -> None:
        """No reply came in time."""
        if asked_at >= self._timed_out_at:
            self._timed_out_at = now
            self._timeouts += 1
            self.timeout = min(self.timeout * 2, MAX_TIMEOUT)
        self.sample_at = 0.0
        if self.condition is Condition.UP:
            self._schedule(now)
            self._become(Condition.SUSPECT, now, "no reply in time")
            # The first probe goes at once: if only this question is slow, the upstream is up again in one RTT.
            self.probe_at = now
            self._probes -= 1
        if self._timeouts >= TIMEOUTS_TO_DOWN:
            self._fail(now, "no reply in time")
        self.failed(now, "no reply in time")

    def failed(self, now: float, problem: str = "its replies do not parse") -> None:
        """A question failed here that might not have failed elsewhere."""
        if now - self._window_start > WINDOW:
            self._window_start = now
            self.good = self.bad = 0
        self.bad += 1
        if self.bad >= FAILURES_TO_DOWN and self.bad >= RATIO_TO_DOWN * (self.good + self.bad):
            self._fail(now, problem)

    def erred(self, now: float) -> None:
        """It replied with an error, and then another upstream had an answer."""
        self.good = max(0, self.good - 1)
        before = self.condition
        self.failed(now, "it replies with errors where others have an answer")
        if before is not Condition.DOWN and self.condition is Condition.DOWN:
            self.erring = True

    def refused(self, now: float) -> None:
        """Its port is closed."""
        self.heard_at = -math.inf
        self._fail(now, "its port is closed")

    def probed(self, now: float, draw: float) -> None:
        """A probe goes out now; `draw` is a random number from 0 to 1, so that probes to many servers are spread."""
        self._probes += 1
        self._schedule(now, draw)

    def _measure(self, rtt: float) -> None:
        if self.srtt:
            deviation = rtt - self.srtt
            self.srtt += deviation * _SMOOTHING
            self.rttvar += (abs(deviation) - self.rttvar) * _VARIATION_SMOOTHING
        else:
            self.srtt = rtt
            self.rttvar = rtt / 2
        self.timeout = min(max(self.srtt + 4 * self.rttvar, MIN_TIMEOUT), MAX_TIMEOUT)
        samples = self._samples
        samples.append(rtt)
        self._taken += 1
        if self._taken % _SAMPLES_PER_PERCENTILE == 0 and len(samples) >= FEWEST_SAMPLES:
            self.hedge_after = max(sorted(samples)[len(samples) * 95 // 100], MIN_HEDGE)

    def _fail(self, now: float, problem: str) -> None:
        if self.condition is Condition.DOWN:
            return
        if self.condition is Condition.UP or self.probe_at <= now:
            self._schedule(now)
        self._become(Condition.DOWN, now, problem)
        self._changed_at = now
        self.sample_at = 0.0

    def _recover(self, now: float) -> None:
        if self.condition is Condition.DOWN:
            self._changed_at = now
            self.good = self.bad = 0
        self._become(Condition.UP, now, self.problem)
        self.erring = False
        self.probe_at = math.inf

    def _become(self, condition: Condition, now: float, problem: str) -> None:
        self.condition = condition
        self.since = now
        self.problem = problem
        self.weigh()

    def _schedule(self, now: float, draw: float = 0.0) -> None:
        """Set when the next probe is due."""
        if self.condition is Condition.UP and now - self._changed_at > _RELAPSE:
            self._probes = 0
        interval = min(PROBE_INTERVAL * PROBE_BACKOFF**self._probes, MAX_PROBE_INTERVAL)
        self.probe_at = now + interval * (1 - PROBE_JITTER * draw)
