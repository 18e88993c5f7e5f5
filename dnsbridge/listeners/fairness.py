"""Fair shares among clients: who may wait for an upstream, and who is taken when not all can be.

A client is an address; of IPv6 it is the /64, all of whose addresses one host can have.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from typing import TypeVar

MAX_WAITING = 10_000
"""Questions of all clients together that may wait for an upstream."""
SHARE = 4
"""A client may hold this many times what is still free: alone four fifths of all, with one like it four ninths."""

_Question = TypeVar("_Question")


def client_of(address: bytes) -> bytes:
    """The client that a packed address counts for."""
    return address[:8]


class Share:
    """How many questions of one client wait."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0


class Waiting:
    """How many questions wait, of all clients.

    The bound on one client sinks as room runs out, so whoever holds little finds room when others hold much.
    """

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self.total = 0
        self.limit = limit

    def has_room(self, share: Share) -> bool:
        """Whether another question of a client may wait."""
        return share.held < SHARE * (self.limit - self.total)

    def add(self, share: Share) -> None:
        """A question waits."""
        self.total += 1
        share.held += 1

    def remove(self, share: Share) -> None:
        """It waits no longer."""
        self.total -= 1
        share.held -= 1


def take_turns(questions: Iterable[tuple[Hashable, bool, _Question]], room: int) -> list[_Question]:
    """As many questions as there is room for: clients take turns, each with its preferred questions (True) first.

    So a client that asks less than its share loses nothing, whatever the others do.
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
