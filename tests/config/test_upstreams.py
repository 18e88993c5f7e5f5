"""How upstreams are written: transport, address, port, name of the certificate, and who vouches for it."""

from pathlib import Path

import pytest

from dnsbridge.config import Address, ConfigError, Flags, Loaded, ServiceAddress, StreamAddress, effective, load

UPSTREAM = "ADDR[:PORT], tcp://ADDR[:PORT], tls://ADDR[:PORT]#NAME or service://NAMESPACE/NAME"
NAME = "write the name in the server's certificate, such as #dns.corp.example"
NOT_TLS = "vouches for tls:// upstreams, and . has none; write them as tls://ADDR#NAME, or remove this line"
FILE = "write ADDR[:PORT], or the path of a resolv.conf, such as /etc/resolv.conf"
PORT = "has a bad port; write a port from 1 to 65535"
SERVICE = "has no NAMESPACE/NAME; write service://NAMESPACE/NAME[:PORT][@CLUSTER], such as service://dns/corp"
SERVICE_PORT = f"{PORT}, or the name of one"
LABEL = "a DNS label of a-z, 0-9 and `-`, at most 63 octets"


def loading(folder: Path, text: str, flags: Flags) -> Loaded | str:
    """What a file with this text loads as; an error as its text, with the folder taken out."""
    (folder / "d.yaml").write_text(text)
    result = load(folder / "d.yaml", flags)
    return str(result).replace(f"{folder}/", "") if isinstance(result, ConfigError) else result


BAD = [
    ("https://1.1.1.1", f': "https://" is not a transport; write {UPSTREAM}'),
    ("TLS://1.1.1.1", f': "TLS://" is not a transport; write {UPSTREAM}'),
    ("tls://tcp://1.1.1.1", f': "tls://tcp://" is not a transport; write {UPSTREAM}'),
    ("tls://dns.corp", " has no address; write tls://ADDR#dns.corp"),
    ("tls://1.1.1.1#", f': "" after # is not a host name; {NAME}'),
    ("tls://1.1.1.1#a..b", f': "a..b" after # is not a host name; {NAME}'),
    ("tls://1.1.1.1#*.b", f': "*.b" after # is not a host name; {NAME}'),
    ("tls://1.1.1.1#" + "a." * 127 + "a", None),
    ("tcp://1.1.1.1#dns.corp", ": only TLS checks a name; write tls://1.1.1.1#dns.corp, or no #NAME"),
    ("1.1.1.1#dns.corp", ": only TLS checks a name; write tls://1.1.1.1#dns.corp, or no #NAME"),
    ("1.1.1.1#5353", ": a port follows a colon; write 1.1.1.1:5353"),
    ("fd00::1#5353", ": a port follows a colon; write [fd00::1]:5353"),
    ("etc/resolv.conf", f" is neither an address nor an absolute path; {FILE}"),
    ("10.0.0.0/8", f" is neither an address nor an absolute path; {FILE}"),
    ("file:///etc/resolv.conf", f': "file://" is not a transport; write {UPSTREAM}'),
    ("tls:///etc/resolv.conf", None),
    ("service://", f": {SERVICE}"),
    ("service://corp", f": {SERVICE}"),
    ("service://dns/corp/53", f": {SERVICE}"),
    ("service://dns/corp:53:53", f": {SERVICE}"),
    ("service:///corp", f': the namespace "" is no DNS label; write {LABEL}'),
    ("service://dns/corp.dns.svc", f': the name "corp.dns.svc" is no DNS label; write {LABEL}'),
    ("service://DNS/corp", f': the namespace "DNS" is no DNS label; write {LABEL}'),
    ("service://dns/corp:", f": {SERVICE_PORT}"),
    ("service://dns/corp:0", f": {SERVICE_PORT}"),
    ("service://dns/corp:65536", f": {SERVICE_PORT}"),
    ("service://dns/corp:DNS", f": {SERVICE_PORT}"),
    ("service://dns/corp@", ": no cluster has such a name; write @ and the name of one, or leave @ out for the first"),
    ("tls://[::]:853", " is the address of no server; write the server's own address"),
]


@pytest.mark.parametrize(("written", "wanted"), BAD, ids=range(len(BAD)))
def test_bad_upstream(tmp_path: Path, written: str, wanted: str | None) -> None:
    """A bad upstream has one line that says what to write, in the file and as a flag."""
    shown = loading(tmp_path, f"forward: [{{upstreams: ['{written}']}}]", Flags())
    flag = loading(tmp_path, "", Flags(upstream=(written,)))
    assert isinstance(shown, str)
    assert isinstance(flag, str)
    assert "\n" not in shown
    if wanted is not None:
        assert shown == f'd.yaml:1: forward[0].upstreams[0]: "{written}"{wanted}'
        assert flag == f'--upstream: "{written}"{wanted}'


BAD_FILES = [
    ("clusters: [{coredns: 'tls://1.1.1.1'}]",
     'd.yaml:1: clusters[0].coredns: "tls://1.1.1.1": this server is asked over UDP, and TCP where needed; '
     "write ADDR[:PORT]"),
    ("forward: [{upstreams: [{tls: 1.1.1.1}]}]",
     "d.yaml:1: forward[0].upstreams[0]: got a mapping; write ADDR[:PORT], tcp://ADDR[:PORT], tls://ADDR[:PORT]#NAME, "
     "service://NAMESPACE/NAME or the path of a resolv.conf, such as 10.0.0.53 or tls://10.0.0.53#dns.corp"),
    ("forward: [{upstreams: ['tls://1.1.1.1:0']}]", f'd.yaml:1: forward[0].upstreams[0]: "1.1.1.1:0" {PORT}'),
    ("forward: [{upstreams: ['tls://1.1.1.1#A.b', 'tls://1.1.1.1:853#a.b']}]",
     "d.yaml:1: forward[0].upstreams: tls://1.1.1.1:853#a.b is listed 2 times; remove all but one"),
    ("forward: [{upstreams: ['service://dns/corp@prod']}]",
     "d.yaml:1: forward[0].upstreams[0]: service://dns/corp@prod: there is no cluster prod; "
     "write service://dns/corp@default"),
    ("clusters: [{name: dev}, {name: prod, zone: b}]\nforward:\n- upstreams: [10.0.0.1, 'service://dns/corp@prodd']",
     "d.yaml:3: forward[0].upstreams[1]: service://dns/corp@prodd: there is no cluster prodd; "
     "write service://dns/corp@prod"),
    ("clusters: []\nforward: [{upstreams: ['service://dns/corp']}]",
     "d.yaml:2: forward[0].upstreams[0]: service://dns/corp is a Service, and there is no cluster; "
     "write the address of a DNS server"),
    ("forward: [{ca: []}]", "d.yaml:1: forward[0].ca: got a list; write null, or a path"),
    ("forward:\n- ca: o.pem\n  upstreams: [10.0.0.1, 'tcp://10.0.0.2']", f"d.yaml:2: forward[0].ca: {NOT_TLS}"),
    ("forward:\n- upstreams: []\n  ca: o.pem", f"d.yaml:3: forward[0].ca: {NOT_TLS}"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_bad_file(tmp_path: Path, text: str, wanted: str) -> None:
    """A bad file gives one line."""
    assert loading(tmp_path, text, Flags()) == wanted


def test_authorities_under_a_flag(tmp_path: Path) -> None:
    """Upstreams of the command line without TLS leave a file's authorities without a use; its line is named."""
    text = "forward:\n- upstreams: ['tls://10.0.0.1#dns.corp']\n  ca: o.pem"
    assert loading(tmp_path, text, Flags(upstream=("10.0.0.2",))) == f"d.yaml:3: forward[0].ca: {NOT_TLS}"
    assert isinstance(loading(tmp_path, text, Flags(upstream=("10.0.0.2", "tls://10.0.0.3"))), Loaded)


@pytest.mark.parametrize(
    ("written", "wanted", "shown"),
    [
        ("10.0.0.1", Address("10.0.0.1", 53), "10.0.0.1:53"),
        ("tcp://10.0.0.1", StreamAddress("10.0.0.1", 53), "tcp://10.0.0.1:53"),
        ("tcp://[fd00::1]:54", StreamAddress("fd00::1", 54), "tcp://[fd00::1]:54"),
        ("tls://10.0.0.1", StreamAddress("10.0.0.1", 853, True), "tls://10.0.0.1:853"),
        ("tls://::2#a", StreamAddress("::2", 853, True, "a"), "tls://[::2]:853#a"),
        (
            "tls://[fd00::1]:8853#Dns.Corp",
            StreamAddress("fd00::1", 8853, True, "dns.corp"),
            "tls://[fd00::1]:8853#dns.corp",
        ),
        ("/run/resolv.conf", Path("/run/resolv.conf"), "/run/resolv.conf"),
        ("service://dns/corp", ServiceAddress("dns", "corp"), "service://dns/corp"),
        ("service://dns/corp:53", ServiceAddress("dns", "corp"), "service://dns/corp"),
        ("service://dns/corp:5353", ServiceAddress("dns", "corp", 5353), "service://dns/corp:5353"),
        (
            "service://dns/corp:dns-udp@default",
            ServiceAddress("dns", "corp", "dns-udp", "default"),
            "service://dns/corp:dns-udp@default",
        ),
    ],
)
def test_upstream(
    tmp_path: Path, written: str, wanted: Address | StreamAddress | ServiceAddress | Path, shown: str
) -> None:
    """A good upstream, in the file and as a flag; what is shown of it means the same."""
    for text in (written, shown):
        for loaded in (
            loading(tmp_path, f"forward: [{{upstreams: ['{text}']}}]", Flags()),
            loading(tmp_path, "", Flags(upstream=(text,))),
        ):
            assert isinstance(loaded, Loaded), loaded
            assert loaded.settings.forward[0].upstreams == (wanted,)
            rows = {row.key: row.value for row in effective(loaded)}
            assert rows["forward[0].upstreams"] == [shown]


@pytest.mark.parametrize(("written", "wanted"), [("office.pem", "FOLDER/office.pem"), ("/etc/o.pem", "/etc/o.pem")])
def test_authorities_lie_beside_the_file(tmp_path: Path, written: str, wanted: str) -> None:
    """A relative path of certificate authorities starts at the file's folder."""
    loaded = loading(tmp_path, f"forward: [{{ca: {written}, upstreams: ['tls://10.0.0.1#dns.corp']}}]", Flags())
    assert isinstance(loaded, Loaded), loaded
    assert str(loaded.settings.forward[0].ca) == wanted.replace("FOLDER", str(tmp_path))
