"""The table of forwarded answers: its bounds, who is protected, and that its count of octets never drifts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.resolvers.forward.answer_table import OCTETS_EACH, OVERHEAD, CacheStore
from dnsbridge.wire.stored import Stored

SMALL = Stored(0, 1, 0, b"x" * 16, None, 60)


def key(name: int | str, kind: int = 1) -> bytes:
    """The key of `NAME.` with a type, class IN, without DO and CD."""
    label = str(name).encode()
    return b"%c%b\0%c%c\0\x01\0" % (len(label), label, 0, kind)


def sized(octets: int) -> Stored:
    """An answer with so many octets of records."""
    return Stored(0, 1, 0, bytes(octets), None, 60)


def test_fresh_until() -> None:
    """An answer expires its TTL after it was stored, and counts who asks for it."""
    store = CacheStore(10)
    store.put(key("a"), SMALL, 100)
    held = store.get(key("a"))
    assert held is not None
    assert (held.since, held.expires, held.hits) == (100, 160, 1)
    assert store.get(key("a", 28)) is None
    store.put(key("a"), SMALL, 150)
    assert store.get(key("a")) is held
    assert (held.expires, held.hits, len(store)) == (210, 1, 1)


def test_bound_in_number() -> None:
    """The oldest that nobody asked for again makes room."""
    store = CacheStore(10)
    for number in range(25):
        store.put(key(number), SMALL, 0)
    assert (len(store), store.evicted) == (10, 15)
    assert [number for number in range(25) if store.get(key(number))] == list(range(15, 25))


def test_bound_in_octets() -> None:
    """Large answers make room for each other, and one that is larger than its share is not kept at all."""
    store = CacheStore(20)
    most = 20 * OCTETS_EACH
    for number in range(50):
        store.put(key(number), sized(1900), 0)
        assert store.octets <= most
    assert 5 <= len(store) <= 10
    store.put(key("small"), SMALL, 0)
    before = len(store)
    store.put(key("huge"), sized(most // 8), 0)
    assert (len(store), store.get(key("huge"))) == (before, None)
    store.put(key("small"), sized(most // 8), 0)
    assert store.get(key("small")) is None, "an old answer is not left in the place of a newer one"


def test_size_zero() -> None:
    """A cache that is switched off keeps nothing."""
    store = CacheStore(0)
    store.put(key("a"), SMALL, 0)
    assert (len(store), store.octets, store.get(key("a"))) == (0, 0, None)


def test_a_scan_pushes_no_popular_name_out() -> None:
    """A million names that are asked once push out each other only."""
    store = CacheStore(1000)
    for number in range(700):
        store.put(key(number), SMALL, 0)
        assert store.get(key(number))
    for number in range(1_000_000):
        store.put(b"\x09%09d\0\0\x01\0\x01\0" % number, SMALL, 0)
    assert len(store) == 1000
    assert all(store.get(key(number)) for number in range(700))


def test_protection_is_bounded() -> None:
    """Names that are popular no longer go back on probation, so that new ones can become popular."""
    store = CacheStore(100)
    for number in range(300):
        store.put(key(number), SMALL, 0)
        store.get(key(number))
    assert store.get(key(299))
    assert store.get(key(0)) is None
    assert len(store) == 100


def test_of_one_name() -> None:
    """All answers of a name are found and forgotten together, whatever their type; no other name's."""
    store = CacheStore(10)
    for name, kind in (("a", 1), ("a", 28), ("b", 1)):
        store.put(key(name, kind), SMALL, 0)
    store.get(key("a", 28))
    assert {each for each, _ in store.of_name(b"\x01a\0")} == {key("a"), key("a", 28)}
    assert store.remove(b"\x01a\0") == 2
    assert (len(store), store.of_name(b"\x01a\0")) == (1, [])
    assert store.remove(None) == 1
    assert (len(store), store.octets) == (0, 0)


@pytest.mark.parametrize("size", [1, 3, 12])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("gpprP"), st.integers(0, 15), st.sampled_from([0, 10, 300, 3000])), max_size=200
    )
)
def test_octets_never_drift(size: int, steps: list[tuple[str, int, int]]) -> None:
    """After any gets, puts, replacements and removals the bounds hold, and the count is that of what is held."""
    store = CacheStore(size)
    for step, name, octets in steps:
        if step == "g":
            store.get(key(name))
        elif step == "r":
            store.remove(key(name)[:-5])
        else:
            store.put(key(name), sized(octets), 0)
        held = [one for name in range(16) for one in store.of_name(key(name)[:-5])]
        assert len(held) == len(store) == len(store._probation) + len(store._protected) <= size
        counted = sum(len(each) + len(one.stored.records) + OVERHEAD for each, one in held)
        assert store.octets == counted <= size * OCTETS_EACH
