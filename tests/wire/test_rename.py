"""Names and record sets moved from the cluster's zone to an alias; dnspython relativizes for comparison."""

import dns.name
import dns.rdata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.wire import name as names
from dnsbridge.wire.compose import RRset
from dnsbridge.wire.rename import rename, rename_set
from tests.support.oracle import packed
from tests.wire.test_compose import DATA, rdata_of

ZONE, ALIAS = names.from_text("cluster.local"), names.from_text("Dev.k8s.corp")
LONG = names.from_text(".".join(["y" * 60, "y" * 60, "corp"]))
FRONT = ".".join(["x" * 60] * 3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cluster.local", "Dev.k8s.corp"),
        ("Web.Shop.svc.Cluster.LOCAL", "web.shop.svc.Dev.k8s.corp"),
        ("xcluster.local", "xcluster.local"),
        ("x\\007cluster.local", "x\\007cluster.local"),
        ("WWW.example.com", "WWW.example.com"),
        ("local", "local"),
        (".", "."),
        ("cluster.local.corp", "cluster.local.corp"),
    ],
)
def test_rename(name: str, expected: str) -> None:
    """Names below the zone, at a label's boundary, get the suffix as it was asked; others stay as they are."""
    renamed = rename(names.from_text(name), ZONE, ALIAS)
    assert renamed == names.from_text(expected)
    held, zone = dns.name.from_text(name), dns.name.from_wire(ZONE, 0)[0]
    if held.is_subdomain(zone):
        assert dns.name.from_wire(renamed, 0)[0] == held.relativize(zone).derelativize(dns.name.from_wire(ALIAS, 0)[0])


@pytest.mark.parametrize(
    ("rtype", "text", "expected"),
    [
        ("CNAME", "db.data.svc.cluster.local.", "db.data.svc.dev.k8s.corp."),
        ("PTR", "www.example.com.", "www.example.com."),
        ("SRV", "0 50 80 a.web.cluster.local.", "0 50 80 a.web.dev.k8s.corp."),
        ("MX", "10 a.cluster.local.", "10 a.dev.k8s.corp."),
        ("SOA", "ns.cluster.local. h.example. 1 2 3 4 5", "ns.dev.k8s.corp. h.example. 1 2 3 4 5"),
        ("RP", "a.cluster.local. b.cluster.local.", "a.dev.k8s.corp. b.dev.k8s.corp."),
        ("NS", "cluster.local.", "dev.k8s.corp."),
        ("TXT", '"a.cluster.local."', '"a.cluster.local."'),
        ("A", "10.0.0.1", "10.0.0.1"),
        ("HINFO", '"cluster" "local"', '"cluster" "local"'),
    ],
)
def test_rename_set(rtype: str, text: str, expected: str) -> None:
    """Owner and every name in the data, as dnspython reads them; the question's own name comes back as asked."""
    read = dns.rdata.from_text("IN", rtype, text)
    asked = names.from_text("WEB.dev.K8S.corp")
    rrset = RRset(names.from_text("web.cluster.local"), int(read.rdtype), 5, (packed(read),))
    renamed = rename_set(rrset, ZONE, ALIAS, asked)
    assert (renamed.owner, renamed.rtype, renamed.ttl) == (asked, rrset.rtype, 5)
    assert dns.rdata.from_wire("IN", rtype, renamed.data[0], 0, len(renamed.data[0])) == dns.rdata.from_text(
        "IN", rtype, expected
    )


@pytest.mark.parametrize("rtype", ["CNAME", "SRV"])
def test_too_long_under_the_alias(rtype: str) -> None:
    """A name that a longer suffix would make longer than 255 octets stays as it is: the message stays valid."""
    target = names.from_text(f"{FRONT}.cluster.local")
    data = target if rtype == "CNAME" else bytes(6) + target
    renamed = rename_set(RRset(target, 5 if rtype == "CNAME" else 33, 5, (data,)), ZONE, LONG, names.ROOT)
    assert (renamed.owner, renamed.data) == (target, (data,))


@given(st.sampled_from(sorted(DATA)), st.data())
def test_there_and_back(rtype: int, data: st.DataObject) -> None:
    """Renaming to the alias and back gives the same set, up to case, for every type."""
    local, corp = names.from_text("local"), names.from_text("k8s.corp")
    one = data.draw(DATA[rtype])
    rrset = RRset(names.from_text("web.local"), rtype, 5, (one,))
    there = rename_set(rrset, local, corp, names.ROOT)
    back = rename_set(there, corp, local, names.ROOT)
    assert back.owner == rrset.owner
    assert rdata_of(rtype, back.data[0]) == rdata_of(rtype, one)
