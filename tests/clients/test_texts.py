"""The text for each kind, and that the README shows what the command prints."""

import re

import pytest

from dnsbridge.clients import KINDS
from dnsbridge.clients.names import Names, Server
from tests.support.started import ROOT

README = Names((Server("10.0.0.8"),), ("cluster.local",), ("96.10.in-addr.arpa", "244.10.in-addr.arpa"))
ALIAS = Names(
    (Server("10.0.0.8", 5300), Server("fd00::8", 5300)), ("cluster.local", "dev.k8s.corp"), ("1.30.172.in-addr.arpa",)
)
TEXTS = {
    "dnsmasq": """\
server=/cluster.local/10.0.0.8#5300
server=/cluster.local/fd00::8#5300
server=/dev.k8s.corp/10.0.0.8#5300
server=/dev.k8s.corp/fd00::8#5300
server=/1.30.172.in-addr.arpa/10.0.0.8#5300
server=/1.30.172.in-addr.arpa/fd00::8#5300
rebind-domain-ok=/cluster.local/dev.k8s.corp/
""",
    "unbound": """\
server:
    private-domain: "cluster.local."
    private-domain: "dev.k8s.corp."
    domain-insecure: "cluster.local."
    domain-insecure: "dev.k8s.corp."
    domain-insecure: "1.30.172.in-addr.arpa."
    local-zone: "1.30.172.in-addr.arpa." transparent
forward-zone:
    name: "cluster.local."
    forward-addr: 10.0.0.8@5300
    forward-addr: fd00::8@5300
forward-zone:
    name: "dev.k8s.corp."
    forward-addr: 10.0.0.8@5300
    forward-addr: fd00::8@5300
forward-zone:
    name: "1.30.172.in-addr.arpa."
    forward-addr: 10.0.0.8@5300
    forward-addr: fd00::8@5300
""",
    "bind": """\
options {
    validate-except { "cluster.local"; "dev.k8s.corp"; "1.30.172.in-addr.arpa"; };
    disable-empty-zone "30.172.in-addr.arpa";
    // Where you have deny-answer-addresses, give it this exception:
    // deny-answer-addresses { 10.0.0.0/8; 172.16.0.0/12; 192.168.0.0/16; fc00::/7; } \
except-from { "cluster.local"; "dev.k8s.corp"; };
};
zone "cluster.local" { type forward; forward only; forwarders { 10.0.0.8 port 5300; fd00::8 port 5300; }; };
zone "dev.k8s.corp" { type forward; forward only; forwarders { 10.0.0.8 port 5300; fd00::8 port 5300; }; };
zone "1.30.172.in-addr.arpa" { type forward; forward only; forwarders { 10.0.0.8 port 5300; fd00::8 port 5300; }; };
""",
    "resolv.conf": """\
search svc.cluster.local cluster.local svc.dev.k8s.corp dev.k8s.corp
# 10.0.0.8 answers at port 5300; a nameserver line means port 53
# fd00::8 answers at port 5300; a nameserver line means port 53
""",
}


@pytest.mark.parametrize("kind", KINDS)
def test_texts(kind: str) -> None:
    """Two servers at a port of their own, a zone with an alias, a reverse zone below a built-in empty one."""
    assert KINDS[kind].text(ALIAS) == TEXTS[kind]


def test_resolv_conf_is_bounded() -> None:
    """Three servers and six search domains: glibc takes no more."""
    servers = tuple([Server(f"10.0.0.{number}") for number in range(1, 6)])
    zones = tuple([f"c{number}.local" for number in range(5)])
    assert KINDS["resolv.conf"].text(Names(servers, zones)) == (
        "search svc.c0.local c0.local svc.c1.local c1.local svc.c2.local c2.local\n"
        "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n"
    )


@pytest.mark.parametrize("kind", ["unbound", "bind", "dnsmasq"])
def test_the_readme_shows_it(kind: str) -> None:
    """The README's chapter has each text as it is printed for its network."""
    chapter = (ROOT / "README.md").read_text(encoding="utf-8").split("### 1. A conditional forwarder")[1]
    found = re.search(rf"`dnsbridge clients {kind}\b.*?\n```\n(.*?)```", chapter, re.DOTALL)
    assert found
    assert found[1] == KINDS[kind].text(README)
