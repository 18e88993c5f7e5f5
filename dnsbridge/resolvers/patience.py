"""How long a question may take, and when it is asked again: numbers and a rule, with time as an argument.

up to DEADLINE    every question: an upstream that is silent to everything costs no more
up to PATIENCE    where an upstream that was asked answers something that was asked later: it is alive, the name is slow
up to LONGEST     without a client that waits, for a cache that can keep the answer; who asks again meanwhile waits too
"""

DEADLINE = 2.4
PATIENCE = 4.8
"""Seconds: a stub resolver asks again after 5 (resolv.conf(5))."""
LONGEST = 9.6
"""Seconds: who asks again at 4.8 has PATIENCE as well."""
FEW_ROUNDS = 3
"""Times that an upstream is asked one question without a sign that it is there."""
MOST_ROUNDS = 8
"""Times that an upstream that replied lately is asked one question."""
EXTRA_SHARE = 0.5
EXTRA_BURST = 500.0
"""Attempts over FEW_ROUNDS for each question sent, and how many are saved up: half of all datagrams may get lost, and
names that nobody answers do not make a flood."""
_GROWTH = 2.0
_JITTER = 0.2


def next_round(begun_at: float, now: float, draw: float) -> float:
    """When a question that is asked again now may be asked once more: when it is twice as old, more or less.

    So the first gap is the timeout that the RTT gives, and eight datagrams at an RTT of 20 ms reach to 3 seconds.
    `draw` is a random number from 0 to 1, so that what was lost together is not asked again together.
    """
    return begun_at + (now - begun_at) * (_GROWTH + (draw - 0.5) * _JITTER)
