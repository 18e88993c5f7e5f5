"""Fair shares among clients: whose questions may wait for an upstream, and whose are taken when not all can be.

A client is an IPv4 address or an IPv6 /64, because one host can have all addresses of a /64.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from typing import TypeVar

MAX_WAITING = 10_000
"""Questions of all clients together that may wait for an upstream."""
SHARE = 4
"""A client may hold this many times the free room: alone four fifths of all, two equal clients four ninths each."""

_Question = TypeVar("_Question")


def client_of(address: bytes) -> bytes:
    """The client that a packed address belongs to."""
    return address[:8]


class Share:
    """The number of waiting questions of one client."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0


class Waiting:
    """The number of waiting questions of all clients.

    The bound per client falls as room runs out, so a client that holds few finds room while others hold many.
    """

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self.total = 0
        self.limit = limit

    def has_room(self, share: Share) -> bool:
        """Whether another question of a client may wait."""
        return share.held < SHARE * (self.limit - self.total)

    def add(self, share: Share) -> None:
        """A question begins to wait."""
        self.total += 1
        share.held += 1

    def remove(self, share: Share) -> None:
        """A question waits no longer."""
        self.total -= 1
        share.held -= 1


def take_turns(questions: Iterable[tuple[Hashable, bool, _Question]], room: int) -> list[_Question]:
    """Take as many questions as there is room for: clients take turns, each with its preferred questions (True) first.

    So a client that asks less than its share loses nothing, whatever other clients do.
    """
    asked: dict[Hashable, tuple[list[_Question], list[_Question]]] = {}
    for client, preferred, question in questions:
        found = asked.get(client)
        if found is None:
            found = asked[client] = [], []
        found[0 if preferred else 1].append(question)
    turns = deque(iter(first + then) for first, then in asked.values())
    taken: list[_Question] = []
    while turns and len(taken) < room:
        turn = turns.popleft()
        for question in turn:
            taken.append(question)
            turns.append(turn)
            break
    return taken
