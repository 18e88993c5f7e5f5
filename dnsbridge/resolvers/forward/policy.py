"""The order in which the upstreams of a zone are asked: positions in their list, chosen anew for each question.

    sequential    as they are listed
    random        any order
    round_robin   each is first in turn
    fastest       by smoothed RTT; one question in twenty asks another than the fastest first, to learn its RTT

In every order, suspect upstreams come after upstreams that are up, and upstreams that are down come last.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from dnsbridge.resolvers.forward.health import Health

Policy = Literal["sequential", "random", "round_robin", "fastest"]
Order = tuple[int, ...]
EXPLORATION = 0.05
"""Share of the questions that ask another than the fastest first."""


class Ordering:
    """The policy of one zone; its only state is whose turn is next."""

    __slots__ = ("_healths", "_draw", "_rotations", "_listed", "_turn", "_choose")

    def __init__(self, policy: Policy, healths: Sequence[Health], draw: Callable[[], float]) -> None:
        """`healths` in the order of the list; `draw` gives random numbers from 0 to under 1."""
        count = len(healths)
        self._healths = tuple(healths)
        self._draw = draw
        # One or two upstreams have no other orders than these, so nothing is made anew for a question.
        self._rotations: tuple[Order, ...] = tuple(
            [tuple([(first + step) % count for step in range(count)]) for first in range(count)]
        )
        self._turn = -1
        self._listed = self._rotations[0]
        choices: dict[Policy, Callable[[], Order]] = {
            "random": self._random,
            "round_robin": self._round_robin,
            "fastest": self._fastest,
        }
        self._choose = choices.get(policy) if count > 1 else None
        """None if the order is always the order of the list: the common case costs no call."""

    def order(self) -> Order:
        """The order for the next question."""
        choose = self._choose
        order = choose() if choose else self._listed
        healths = self._healths
        if healths[order[0]].condition:
            return self._by_condition(order)
        # With two upstreams this is enough: the first is up, so the second comes after it in any case.
        if len(order) > 2:
            for health in healths:
                if health.condition:
                    return self._by_condition(order)
        return order

    def _by_condition(self, order: Order) -> Order:
        healths = self._healths
        if len(order) == 2:
            one, other = order
            return order if healths[one].condition <= healths[other].condition else self._rotations[other]
        return tuple(sorted(order, key=lambda position: healths[position].condition))

    def _round_robin(self) -> Order:
        self._turn = (self._turn + 1) % len(self._rotations)
        return self._rotations[self._turn]

    def _random(self) -> Order:
        draw = self._draw
        count = len(self._healths)
        if count == 2:
            return self._rotations[draw() < 0.5]
        left = list(range(count))
        return tuple([left.pop(int(draw() * size)) for size in range(count, 0, -1)])

    def _fastest(self) -> Order:
        healths = self._healths
        if len(healths) == 2:
            first = 0 if healths[0].srtt <= healths[1].srtt else 1
            return self._rotations[first if self._draw() >= EXPLORATION else 1 - first]
        order = sorted(self._listed, key=lambda position: healths[position].srtt)
        drawn = self._draw()
        if drawn < EXPLORATION:
            order.insert(0, order.pop(1 + int(drawn / EXPLORATION * (len(order) - 1))))
        return tuple(order)
