"""Fair shares: who may wait, and who is taken when not all can be."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.listeners.access import packed
from dnsbridge.listeners.fairness import Share, Waiting, client_of, take_turns

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
    assert (client_of(packed(one)) == client_of(packed(other))) is same


def fill(waiting: Waiting, *shares: Share) -> None:
    """Let clients take turns to add questions until none has room."""
    while any(waiting.has_room(share) for share in shares):
        for share in shares:
            if waiting.has_room(share):
                waiting.add(share)


@pytest.mark.parametrize(
    ("limit", "clients", "each"),
    [(10, 1, 8), (9_000, 2, 4_000), (13_000, 3, 4_000), (100, 1, 80), (0, 1, 0)],
)
def test_what_greedy_clients_hold(limit: int, clients: int, each: int) -> None:
    """Of N greedy clients each gets 4 / (1 + 4 N) of all, so that something is left for the next."""
    shares = [Share() for _ in range(clients)]
    fill(Waiting(limit), *shares)
    assert all(abs(share.held - each) <= 1 for share in shares)


def test_a_late_client_finds_room_until_the_first_ones_are_answered() -> None:
    """And the greedy one gets none of what it leaves."""
    waiting, greedy, late = Waiting(1000), Share(), Share()
    fill(waiting, greedy)
    fill(waiting, late, greedy)
    assert late.held >= 150
    assert not waiting.has_room(greedy)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=300), st.integers(1, 40))
def test_waiting_is_counted_right(steps: list[tuple[int, bool]], limit: int) -> None:
    """Whatever comes and goes, the total is right and bounded; an idle client has room while there is any."""
    waiting, shares = Waiting(limit), [Share() for _ in range(6)]
    for client, comes in steps:
        share = shares[client]
        if comes and waiting.has_room(share):
            waiting.add(share)
        elif not comes and share.held:
            waiting.remove(share)
        assert waiting.total == sum(each.held for each in shares) <= limit
        assert waiting.has_room(Share()) is (waiting.total < limit)


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
