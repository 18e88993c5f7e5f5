"""Label selectors: the examples of the Kubernetes documentation, absent labels, and what is no selector."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.cluster.selector import MAX_LENGTH, BadSelector, Selector, parse

GATEWAY = {"node-role.kubernetes.io/gateway": "", "kubernetes.io/os": "linux", "tier": "front", "partition": "a"}

FITS: list[tuple[str, bool]] = [
    ("", True),
    ("node-role.kubernetes.io/gateway=", True),
    ("node-role.kubernetes.io/gateway", True),
    ("node-role.kubernetes.io/gateway in ()", True),
    ("node-role.kubernetes.io/ingress", False),
    ("!node-role.kubernetes.io/ingress", True),
    ("!tier", False),
    ("tier=front", True),
    ("tier == front", True),
    ("tier = back", False),
    ("tier!=back", True),
    ("tier!=front", False),
    ("missing!=front", True),
    ("missing=", False),
    ("tier in (back, front)", True),
    ("tier in (back)", False),
    ("tier notin (back,middle)", True),
    ("tier notin (front)", False),
    ("missing notin (front)", True),
    ("missing in (front)", False),
    ("tier=front,kubernetes.io/os=linux,!x", True),
    ("tier=front , kubernetes.io/os = windows", False),
    ("partition in (a),tier in (front, back) , kubernetes.io/os", True),
    ("in in (in)", False),
]


@pytest.mark.parametrize(("text", "expected"), FITS)
def test_fits(text: str, expected: bool) -> None:
    """Whether a gateway's labels are what the text asks for."""
    selector = parse(text)
    assert isinstance(selector, Selector)
    assert selector.fits(GATEWAY) is expected
    assert selector.text == text


BAD: list[tuple[str, str]] = [
    ("=x", "expected a label's key such as example.com/role, got '='"),
    ("a,", "expected a label after the last comma"),
    (",a", "expected a label's key such as example.com/role, got ','"),
    ("!", "expected a label's key such as example.com/role, got the end"),
    ("a b", "expected = or == or != or in or notin, got 'b'"),
    ("a in b", "expected (, got 'b'"),
    ("a in (b", "expected , or ), got the end"),
    ("a in (b c)", "expected , or ), got 'c'"),
    ("a=b=c", "expected ,, got '='"),
    ("A..B/c", "expected a label's key such as example.com/role, got 'A..B/c'"),
    ("a/b/c", "expected a label's key such as example.com/role, got 'a/b/c'"),
    ("a" * 64, f"expected a label's key such as example.com/role, got '{'a' * 60}'"),
    ("a=-b", "expected a label's value of at most 63 letters, digits, '-', '_' and '.', got '-b'"),
    ("a=\x1b", "expected a label's value of at most 63 letters, digits, '-', '_' and '.', got '\\x1b'"),
    ("a" * (MAX_LENGTH + 1), f"over {MAX_LENGTH} characters"),
]


@pytest.mark.parametrize(("text", "problem"), BAD)
def test_bad(text: str, problem: str) -> None:
    """A text that is no selector is refused with what was expected."""
    assert parse(text) == BadSelector(problem)


@given(st.text(st.sampled_from("ab/.,=!() in\n")) | st.text())
def test_any_text(text: str) -> None:
    """Whatever the text, it is a selector or the reason why not."""
    found = parse(text)
    assert isinstance(found, Selector | BadSelector)
    if isinstance(found, Selector):
        found.fits({"a": "b"})
