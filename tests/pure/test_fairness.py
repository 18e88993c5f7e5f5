"""Fair shares: who may wait, and who is taken when not all can be."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.listeners.fairness import Waiting, client_of, take_turns

CLIENTS = [
    ("an address of IPv4", "192.0.2.1", "192.0.2.1", True),
    ("its neighbour", "192.0.2.1", "192.0.2.2", False),
    ("the same /64", "2001:db8::1", "2001:db8:0:0:ffff::2", True),
    ("the next /64", "2001:db8::1", "2001:db8:0:1::1", False),
    ("link-local on an interface", "fe80::1%eth0", "fe80::2%eth0", True),
    ("an address of IPv4 and its octets as IPv6", "0.0.0.0", "::", False),
]


@pytest.mark.parametrize(("one", "other", "same"), [case[1:] for case in CLIENTS], ids=[case[0] for case in CLIENTS])
def test_who_is_one_client(one: str, other: str, same: bool) -> None:
    """One host can have every address of a /64, and only one of IPv4."""
    assert (client_of(one) == client_of(other)) is same


def fill(waiting: Waiting, *clients: str) -> Counter[str]:
    """Let clients take turns to add questions until none has room; how many each holds."""
    held: Counter[str] = Counter()
    while any(waiting.has_room(client) for client in clients):
        for client in clients:
            if waiting.has_room(client):
                waiting.add(client)
                held[client] += 1
    return held


@pytest.mark.parametrize(
    ("limit", "clients", "each"),
    [(10, 1, 8), (9_000, 2, 4_000), (13_000, 3, 4_000), (100, 1, 80), (0, 1, 0)],
)
def test_what_greedy_clients_hold(limit: int, clients: int, each: int) -> None:
    """Of N greedy clients each gets 4 / (1 + 4 N) of all, so that something is left for the next."""
    names = [f"192.0.2.{number}" for number in range(clients)]
    held = fill(Waiting(limit), *names)
    assert all(abs(held[name] - each) <= 1 for name in names)


def test_a_late_client_finds_room_until_the_first_ones_are_answered() -> None:
    """And the greedy one gets none of what it leaves."""
    waiting = Waiting(1000)
    fill(waiting, "greedy")
    assert fill(waiting, "late", "greedy")["late"] >= 150
    assert not waiting.has_room("greedy")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=300), st.integers(1, 40))
def test_waiting_is_counted_right(steps: list[tuple[str, bool]], limit: int) -> None:
    """Whatever comes and goes, the total is right and bounded; an idle client has room while there is any."""
    waiting, held = Waiting(limit), Counter[str]()
    for client, comes in steps:
        if comes and waiting.has_room(client):
            waiting.add(client)
            held[client] += 1
        elif not comes and held[client]:
            waiting.remove(client)
            held[client] -= 1
        assert waiting.total == held.total() <= limit
        assert waiting.has_room("idle") is (waiting.total < limit)
    for client in held.elements():
        waiting.remove(client)
    assert waiting.total == 0
    assert not waiting._held


TURNS = [
    ("room for all", "a1 a2 b1", 3, "a1 b1 a2"),
    ("nothing", "", 3, ""),
    ("no room", "a1", 0, ""),
    ("one client, in its order", "a1 a2 a3", 2, "a1 a2"),
    ("the quiet one is taken, however late it comes", "a1 a2 a3 a4 b1", 2, "a1 b1"),
    ("what the quiet one leaves goes to the other", "a1 a2 a3 a4 b1", 4, "a1 b1 a2 a3"),
    ("its preferred questions first", "a1 a2 a3! a4!", 3, "a3! a4! a1"),
    ("those of one do not come before the others' turns", "a1! a2! a3! b1 c1", 3, "a1! b1 c1"),
]


@pytest.mark.parametrize(("asked", "room", "taken"), [case[1:] for case in TURNS], ids=[case[0] for case in TURNS])
def test_turns(asked: str, room: int, taken: str) -> None:
    """Clients are letters, their questions numbers, those that are preferred have a mark."""
    questions = [(question[0], question.endswith("!"), question) for question in asked.split()]
    assert take_turns(questions, room) == taken.split()


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers())), st.integers(0, 50))
def test_turns_are_fair(questions: list[tuple[int, bool, int]], room: int) -> None:
    """All room is used; who has less than another is left with nothing unanswered, by one question at most."""
    asked = Counter(str(client) for client, _, _ in questions)
    taken = take_turns([(str(each[0]), each[1], each) for each in questions], room)
    assert not Counter(taken) - Counter(questions)
    assert len(taken) == min(room, len(questions))
    got = Counter(str(client) for client, _, _ in taken)
    most = max(got.values(), default=0)
    assert all(got[client] == asked[client] or got[client] >= most - 1 for client in asked)
