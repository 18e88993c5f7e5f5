"""One answer for all forms of a question: what the case of its name and a DNS cookie change, and what they do not."""

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.wire.canonical import as_asked, canonical

COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"8 octets")
SERVER_COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"8 octets and sixteen more")
NSID = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")


def question(
    name: str = "web.shop.svc.cluster.local", rtype: str = "A", *options: dns.edns.Option, edns: int = -1
) -> bytes:
    """A question by dnspython, after its ID."""
    version = 0 if options else edns
    message = dns.message.make_query(
        name, dns.rdatatype.RdataType.make(rtype), use_edns=version, options=list(options) or None, id=0
    )
    return message.to_wire()[2:]


SAME = [
    ("itself", question(), question()),
    ("mixed case", question("wEb.Shop.svc.CLUSTER.local"), question()),
    ("a cookie", question("web.shop.svc.cluster.local", "A", COOKIE), question(edns=0)),
    ("a cookie of the server's too", question("web.shop.svc.cluster.local", "A", SERVER_COOKIE), question(edns=0)),
    ("both", question("WEB.shop.svc.cluster.local", "A", COOKIE), question(edns=0)),
    ("the root", question("."), question(".")),
    ("a name with dots and zeros in a label", question("A\\000B\\.c.example"), question("a\\000B\\.c.example")),
    ("another option", question("web.shop.svc.cluster.local", "A", NSID), None),
    ("a cookie and another option", question("web.shop.svc.cluster.local", "A", COOKIE, NSID), None),
    ("a type that is an upper-case letter", question(rtype="TYPE65"), None),
    ("no name", b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03abc", None),
    ("nothing", b"", None),
    ("a cookie that is longer than its option says", question("a.b", "A", COOKIE)[:-1] + b"xx", None),
    ("a cookie without octets", question("a.b", "A", dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"")), None),
]


@pytest.mark.parametrize(("asked", "form"), [case[1:] for case in SAME], ids=[case[0] for case in SAME])
def test_form(asked: bytes, form: bytes | None) -> None:
    """The canonical form; where there is nothing to change (None) it is the very object."""
    found = canonical(asked)
    if form is None or form == asked:
        assert found is asked
    else:
        assert found == form
    assert canonical(found) is found


@given(
    st.lists(st.text("abcXYZ-_019\x00Ä", min_size=1, max_size=12), min_size=0, max_size=6),
    st.integers(0, 65535),
    st.booleans(),
    st.data(),
)
def test_nothing_else_changes(labels: list[str], rtype: int, cookie: bool, draw: st.DataObject) -> None:
    """dnspython reads the same in both forms but for the case and the cookie, and the answer comes as asked."""
    name = dns.name.Name([label.encode("latin-1") for label in labels] + [b""])
    options: list[dns.edns.Option] = [COOKIE] if cookie else []
    message = dns.message.make_query(
        name, dns.rdatatype.RdataType.make(rtype), use_edns=0 if cookie or draw.draw(st.booleans()) else -1, id=0
    )
    if options and message.opt is not None:
        message.use_edns(0, draw.draw(st.sampled_from([0, dns.flags.DO])), 4096, options=options)
    asked = message.to_wire()[2:]
    form = canonical(asked)
    read = dns.message.from_wire(b"\0\0" + form)
    assert read.question == message.question
    assert (read.flags, read.edns, read.ednsflags, read.payload) == (
        message.flags,
        message.edns,
        message.ednsflags,
        message.payload,
    )
    response = dns.message.make_response(read)
    said = dns.message.from_wire(b"\0\0" + as_asked(response.to_wire()[2:], asked))
    assert said.question[0].name.labels == name.labels
    assert message.is_response(said)
