"""How long a question may take, and when it is asked again: numbers and a rule, with time as an argument.

up to DEADLINE    every question; an upstream that is silent to everything costs no more
up to PATIENCE    if an upstream that was asked answers something asked later: it is alive, only the name is slow
up to LONGEST     no client waits, but a cache can keep the answer; a client that asks again meanwhile waits too
"""

DEADLINE = 2.4
PATIENCE = 4.8
"""Seconds: a stub resolver asks again after 5 (resolv.conf(5))."""
LONGEST = 9.6
"""Seconds: a client that asks again at 4.8 has PATIENCE as well."""
FEW_ROUNDS = 3
"""Times that an upstream is asked one question without a sign of life."""
MOST_ROUNDS = 8
"""Times that an upstream that replied lately is asked one question."""
EXTRA_SHARE = 0.5
EXTRA_BURST = 500.0
"""Attempts over FEW_ROUNDS for each question sent, and how many are saved up. Half of all datagrams may get lost, and
names that nobody answers still make no flood."""
LAST_ROUND = 2.4
"""Seconds before which the last of MOST_ROUNDS does not begin: a link that was down for a moment may be back."""
_GROWTH = 1.5
_JITTER = 0.2


def next_round(begun_at: float, now: float, number: int, draw: float) -> float:
    """When round `number` (from 0) of a question may begin, if the round before begins now: when the question is about
    half again as old. The last round begins late.

    So the first gap is the timeout that the RTT gives. At 50 ms seven datagrams go in half a second, and the eighth
    after LAST_ROUND. `draw` is a random number from 0 to 1: questions lost together are not asked again together.
    """
    due = begun_at + (now - begun_at) * (_GROWTH + (draw - 0.5) * _JITTER)
    return max(due, begun_at + LAST_ROUND) if number == MOST_ROUNDS - 1 and now > begun_at else due
