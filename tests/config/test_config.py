"""Settings: every way to get them wrong has one line that says where and what to do."""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from dnsbridge.config import (
    Address,
    Cluster,
    ConfigError,
    Flags,
    Forward,
    Loaded,
    Settings,
    Source,
    effective,
    load,
    schema,
    upstream_is_self,
)
from tests.support.properties import examples

NONE = Flags()

SAMPLE = """\
listen: ["0.0.0.0:53", "[::]:53"]      # UDP and TCP
http: 127.0.0.1:9153                    # /metrics /healthz /readyz /routes and the status page
access: {allow: [private]}              # who may ask; "private" = RFC 1918, ULA, loopback, link-local
clusters:
  - name: dev
    zone: cluster.local
    aliases: [dev.k8s.corp]             # the same names under a second suffix
    source: {kubeconfig: ~/.kube/config, context: dev}    # or {in_cluster: true} or {manifests: DIR}
    ttl: 5
    negative_ttl: 1
    pods: insecure                      # disabled | insecure | verified
    coredns: auto                       # or an address; auto = the ClusterIP of kube-system/kube-dns
    fallback: unknown                   # never | unsynced | unknown | miss  (see SEMANTICS.md)
forward:
  - zone: "."
    upstreams: [10.0.0.53, 10.0.1.53]
    policy: sequential                  # sequential | random | round_robin | fastest
cache: {size: 100000, serve_stale: 1h, prefetch: true}
log: {format: console, level: info}
routes:
  via: auto                             # nodes | gateways | auto
  gateways: {selector: "node-role.kubernetes.io/gateway="}
  service_cidrs: auto
  pod_cidrs: auto
  sinks: [kernel]                       # kernel | bgp | bird | frr | file ...
"""


def loading(folder: Path, text: str | bytes, flags: Flags = NONE) -> Loaded | str:
    """What a file with this text loads as; an error as its text, with the folder taken out."""
    path = folder / "d.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = load(path, flags)
    return str(result).replace(f"{folder}/", "") if isinstance(result, ConfigError) else result


def loaded(folder: Path, text: str, flags: Flags = NONE) -> Loaded:
    """What a good file loads as."""
    result = loading(folder, text, flags)
    assert isinstance(result, Loaded), result
    return result


DURATION = "write a duration such as 500ms, 60s, 2m or 1h"
CIDR = "a CIDR such as 10.96.0.0/12 or fd00::/108"
LISTEN = "ADDR:PORT, such as 0.0.0.0:53 or [::]:53"
SERVER = "ADDR[:PORT], such as 10.0.0.53 or [fd00::53]:53; fallback: never asks no server at all"
TWO = "clusters: [{name: dev}, {name: prod, zone: prod.local}]\n"

BAD_FILES = [
    # unknown settings
    ("clusters:\n  - fallbck: miss\n", "d.yaml:2: clusters[0].fallbck: unknown setting; did you mean 'fallback'?"),
    ("Listen: []\n", "d.yaml:1: Listen: unknown setting; did you mean 'listen'?"),
    ("\ncache:\n\n  zzz: 1\n", "d.yaml:4: cache.zzz: unknown setting; known are size, serve_stale, prefetch"),
    ('"a\\nb": 1\ncache: {[]: 1}',
     f'd.yaml:1: "a\\nb": unknown setting; known are {", ".join(Settings.__struct_fields__)}'
     "\nd.yaml:2: cache.?: unknown setting; known are size, serve_stale, prefetch"),
    ("cache: {<<: {size: 1}}", "d.yaml:1: cache.<<: merge keys are not supported; write the settings out"),
    # types
    ("[1]", "d.yaml:1: got a list; write settings, of " + ", ".join(Settings.__struct_fields__)),
    ("text", 'd.yaml:1: got "text"; write settings, of ' + ", ".join(Settings.__struct_fields__)),
    ("workers: two", 'd.yaml:1: workers: got "two"; write a whole number from 1 to 256'),
    ("workers: '2'", 'd.yaml:1: workers: got "2"; write a whole number from 1 to 256'),
    ("workers: true", 'd.yaml:1: workers: got "true"; write a whole number from 1 to 256'),
    ("workers: 0", 'd.yaml:1: workers: got "0"; write a whole number from 1 to 256'),
    ("workers:", "d.yaml:1: workers: no value; write a whole number from 1 to 256"),
    ("workers: !!int x", 'd.yaml:1: workers: got "x"; write a whole number from 1 to 256'),
    ("cache: {prefetch: 1}", 'd.yaml:1: cache.prefetch: got "1"; write true or false'),
    ("cache: []", "d.yaml:1: cache: got a list; write settings, of size, serve_stale, prefetch"),
    ("listen: 127.0.0.1:53", f'd.yaml:1: listen: got "127.0.0.1:53"; write a list, each {LISTEN}'),
    ("listen:", f"d.yaml:1: listen: no value; write a list, each {LISTEN}"),
    ("listen: [{a: 1}]", f"d.yaml:1: listen[0]: got a mapping; write {LISTEN}"),
    ("access: {denied: ignore}", 'd.yaml:1: access.denied: got "ignore"; write one of refuse, drop'),
    ("access: {response_rate: -1}",
     'd.yaml:1: access.response_rate: got "-1"; write auto, or a whole number from 0 to 1000000'),
    ("clusters:\n- ttl: 5s", 'd.yaml:2: clusters[0].ttl: got "5s"; write a whole number from 0 to 86400'),
    ("clusters:\n- ttl: 86401", 'd.yaml:2: clusters[0].ttl: got "86401"; write a whole number from 0 to 86400'),
    ("clusters:\n- coredns: dns",
     'd.yaml:2: clusters[0].coredns: "dns" is not an IP address; write auto, or '
     "ADDR[:PORT], such as 10.0.0.53 or [fd00::53]:53; fallback: never asks no server at all"),
    ("clusters: [{coredns: []}]", f"d.yaml:1: clusters[0].coredns: got a list; write auto, or {SERVER}"),
    ("routes: {pod_cidrs: ato}", f'd.yaml:1: routes.pod_cidrs: got "ato"; write auto, or a list, each {CIDR}'),
    ("routes: {sinks: [kernal]}", 'd.yaml:1: routes.sinks[0]: got "kernal"; write one of kernel, bgp, bird, frr, file'),
    ("clusters:\n- name: a b",
     "d.yaml:2: clusters[0].name: got \"a b\"; write a name of up to 63 letters, digits, '-', '_' and '.'"),
    ('clusters: [{source: {manifests: "a\\0"}}]',
     'd.yaml:1: clusters[0].source.manifests: got "a\\u0000"; write null, or a path'),
    ("version_bind: " + "x" * 256,
     'd.yaml:1: version_bind: got "' + "x" * 60 + '..."; write null, or printable text of up to 255 octets'),
    # durations
    ("cache: {serve_stale: soon}", f'd.yaml:1: cache.serve_stale: got "soon"; {DURATION}'),
    ("cache: {serve_stale: -1}", 'd.yaml:1: cache.serve_stale: "-1" is out of range; write 0s to 720h'),
    ("cache: {serve_stale: 721h}", 'd.yaml:1: cache.serve_stale: "721h" is out of range; write 0s to 720h'),
    ("cache: {serve_stale: .inf}", f'd.yaml:1: cache.serve_stale: got ".inf"; {DURATION}'),
    ("cache: {serve_stale: 1:30}", f'd.yaml:1: cache.serve_stale: got "1:30"; {DURATION}'),
    ("cache: {serve_stale: true}", f'd.yaml:1: cache.serve_stale: got "true"; {DURATION}'),
    ("tcp: {idle_timeout: 0}", 'd.yaml:1: tcp.idle_timeout: "0" is out of range; write 100ms to 720h'),
    # addresses
    ('listen:\n- ":53"\n', 'd.yaml:2: listen[0]: ":53" has no address; write 0.0.0.0:53 or [::]:53'),
    ("listen: [localhost:53]",
     'd.yaml:1: listen[0]: "localhost:53" is not an IP address; write ADDR:PORT, such as 0.0.0.0:53 or [::]:53'),
    ("listen: ['1.2.3.4:65536']", 'd.yaml:1: listen[0]: "1.2.3.4:65536" has a bad port; write a port from 0 to 65535'),
    ("listen: ['1.2.3.4:']", 'd.yaml:1: listen[0]: "1.2.3.4:" has a bad port; write a port from 0 to 65535'),
    ("listen: ['[1.2.3.4]:53']", f'd.yaml:1: listen[0]: got "[1.2.3.4]:53"; write {LISTEN}'),
    ("listen: ['::1:53:x']", f'd.yaml:1: listen[0]: got "::1:53:x"; write {LISTEN}'),
    ("http: 9153",
     'd.yaml:1: http: "9153" is not an IP address; write ADDR:PORT, such as 127.0.0.1:9153, or "" for none'),
    ("forward: [{upstreams: ['1.1.1.1:0']}]",
     'd.yaml:1: forward[0].upstreams[0]: "1.1.1.1:0" has a bad port; write a port from 1 to 65535'),
    ("forward: [{upstreams: ['::']}]",
     "d.yaml:1: forward[0].upstreams[0]: \"::\" is the address of no server; write the server's own address"),
    ("ns_addresses: [10.0.0.1:53]",
     'd.yaml:1: ns_addresses[0]: got "10.0.0.1:53"; write an IP address such as 10.0.0.1 '
     "or fd00::1, without a port"),
    ("access: {allow: [10.0.0.1/8]}",
     'd.yaml:1: access.allow[0]: "10.0.0.1/8" has host bits set; write 10.0.0.0/8'),
    ("access: {allow: [fd00::1/64]}",
     'd.yaml:1: access.allow[0]: "fd00::1/64" has host bits set; write fd00::/64'),
    ("access: {allow: [public]}", f'd.yaml:1: access.allow[0]: got "public"; write private, or {CIDR}'),
    ("access: {allow: [10.0.0.0/255.0.0.0]}",
     f'd.yaml:1: access.allow[0]: got "10.0.0.0/255.0.0.0"; write private, or {CIDR}'),
    # zones
    ("clusters: [{zone: .}]", 'd.yaml:1: clusters[0].zone: "." is every name; write a DNS name such as cluster.local'),
    ("clusters: [{zone: a..b}]", "d.yaml:1: clusters[0].zone: not a DNS name: 'a..b': a label is empty; "
     "write one such as cluster.local"),
    ("clusters: [{zone: '*.b'}]", 'd.yaml:1: clusters[0].zone: got "*.b"; write a DNS name such as cluster.local'),
    ("clusters: [{zone: ''}]", 'd.yaml:1: clusters[0].zone: got ""; write a DNS name such as cluster.local'),
    # the file as a whole
    ("a: [", "d.yaml:2: not YAML: while parsing a flow node did not find expected node content; "
     "check indentation, quotes and brackets"),
    ("workers: 1\n---\nworkers: 2", "d.yaml:2: not YAML: expected a single document in the stream but found another "
     "document; check indentation, quotes and brackets"),
    ("workers: 1\nhttp: ''\nworkers: 2\n", "d.yaml:3: workers: is set twice; remove one of them"),
    ("workers: *x", "d.yaml:1: not YAML: found undefined alias; check indentation, quotes and brackets"),
    ("# one\nworkers: 1\0", "d.yaml:2: has a control character; save the file as plain text"),
    (b"# one\nlisten: \xff\n", "d.yaml:2: is not UTF-8 text; save the file as UTF-8"),
    ("workers: 1".encode("utf-16"), "d.yaml:1: is not UTF-8 text; save the file as UTF-8"),
    ("\n" + "[" * 100_000, "d.yaml:2: is nested over 20 levels deep; check the brackets"),
    ("#" * (1 << 20) + "#", "d.yaml: has over 1048576 octets; is this the configuration file?"),
    ("listen: &a [*a]", f"d.yaml:1: listen[0]: got a list; write {LISTEN}"),
    ("clusters:\n- &c {aliases: &z [" + "a.b," * 200 + "]}\n" + "- *c\n" * 2000,
     "d.yaml:2: clusters[98].aliases[199]: over 20000 values; shorten the lists, and use no aliases"),
    # several at once
    ("workers: 0\nlisten: [x]\n", 'd.yaml:1: workers: got "0"; write a whole number from 1 to 256\n'
     'd.yaml:2: listen[0]: "x" is not an IP address; write ADDR:PORT, such as 0.0.0.0:53 or [::]:53'),
    # contradictions
    ("access: {allow: []}", "d.yaml:1: access.allow: an empty list lets nobody ask; "
     "write [private] or CIDRs such as 10.0.0.0/8"),
    ("listen: []", "d.yaml:1: listen: an empty list answers nobody; write addresses such as 0.0.0.0:53"),
    ("listen:\n- 127.0.0.1\n- 127.0.0.1:53\n",
     "d.yaml:3: listen[1]: 127.0.0.1:53 is taken by listen[0]; remove one or change its port"),
    ("listen: ['::1']\nhttp: '[0::1]:53'",
     "d.yaml:2: http: [::1]:53 is taken by listen[0]; remove one or change its port"),
    ("clusters:\n- zone: a.b\n- zone: c.d\n",
     "d.yaml:3: clusters[1].name: default is also the name of clusters[0]; give each cluster its own name"),
    ("clusters:\n- name: dev\n- name: prod\n  aliases: [Cluster.Local.]\n",
     "d.yaml:3: clusters[1].zone: cluster.local is claimed by clusters dev (clusters[0]) and prod (clusters[1]), both "
     "of precedence 0; give one a higher precedence, or different zones\n"
     "d.yaml:4: clusters[1].aliases[0]: cluster.local is the cluster's own zone; remove it"),
    ("clusters:\n- name: dev\n  aliases: [a.b, a.b]\n",
     "d.yaml:3: clusters[0].aliases[1]: a.b is listed twice; remove it"),
    ("clusters:\n- name: dev\n  aliases: [k8s.corp]\nforward:\n- zone: web.k8s.corp\n  upstreams: [10.0.0.1]\n",
     "d.yaml:5: forward[0].zone: web.k8s.corp would never be asked, because cluster dev answers all of k8s.corp; "
     "remove it, or forward a zone outside the cluster"),
    ("forward:\n- {}\n- {}\n",
     "d.yaml:3: forward[1].zone: . is also the zone of forward[0]; put the upstreams into one of them"),
    ("forward:\n- zone: corp\n",
     "d.yaml:2: forward[0].upstreams: no server to ask for corp; write addresses such as 10.0.0.53"),
    ("forward: [{upstreams: [10.0.0.1, '10.0.0.1:53']}]",
     "d.yaml:1: forward[0].upstreams: 10.0.0.1:53 is listed 2 times; remove all but one"),
    (TWO + "routes:\n  pod_cidrs: [10.0.0.0/8]\n", "d.yaml:3: routes.pod_cidrs: a list describes the only cluster, and "
     "there are 2 (dev, prod); write auto"),
    ("clusters:\n- source: {manifests: a, in_cluster: true}\n",
     "d.yaml:2: clusters[0].source: has manifests and in_cluster; a cluster has one source, keep one of them"),
    ("clusters:\n- source:\n    context: dev\n    in_cluster: true\n",
     "d.yaml:3: clusters[0].source.context: belongs to a kubeconfig, and the source is in_cluster; remove one of them"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_bad_file(tmp_path: Path, text: str | bytes, wanted: str) -> None:
    """A bad file gives a line for each problem: file and line, key, what is wrong and what to do."""
    assert loading(tmp_path, text) == wanted


BAD_FLAGS = [
    ("", Flags(listen=("127.0.0.1", ":53")), '--listen: ":53" has no address; write 0.0.0.0:53 or [::]:53'),
    ("", Flags(upstream=("dns.corp",)),
     '--upstream: "dns.corp" is not an IP address; write ADDR[:PORT], tcp://ADDR[:PORT], '
     "tls://ADDR[:PORT]#NAME, service://NAMESPACE/NAME or the path of a resolv.conf, such as 10.0.0.53 or tls://10.0.0.53#dns.corp"),
    ("", Flags(workers=0), '--workers: got "0"; write a whole number from 1 to 256'),
    ("", Flags(manifests=""), '--manifests: got ""; write a path'),
    ("", Flags(manifests="a", kubeconfig="b"),
     "--manifests: does not go together with --kubeconfig; leave one of them out"),
    ("", Flags(manifests="a", context="b"), "--manifests: does not go together with --context; leave one of them out"),
    (TWO, Flags(zone="a.b"), "--zone: needs a configuration with one cluster; this one has: dev, prod"),
    ("clusters: []", Flags(context="a"), "--context: needs a configuration with one cluster; this one has: none"),
    ("clusters: [{aliases: [a.b]}]", Flags(zone="a.b"),
     "d.yaml:1: clusters[0].aliases[0]: a.b is the cluster's own zone; remove it"),
    ("clusters: [{source: {manifests: a}}]", Flags(context="dev"),
     "--context: clusters[0].source.context: belongs to a kubeconfig, and the source is manifests; remove one of them"),
    ("", Flags(listen=("::1", "[::1]:53")),
     "--listen: listen[1]: [::1]:53 is taken by listen[0]; remove one or change its port"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "flags", "wanted"), BAD_FLAGS, ids=range(len(BAD_FLAGS)))
def test_bad_flags(tmp_path: Path, text: str, flags: Flags, wanted: str) -> None:
    """A bad flag is bad usage, exit code 2; a file that does not fit the flags is the file's, exit code 1."""
    (tmp_path / "d.yaml").write_text(text)
    result = load(tmp_path / "d.yaml", flags)
    assert isinstance(result, ConfigError)
    assert str(result).replace(f"{tmp_path}/", "") == wanted
    assert result.exit_code == (2 if wanted.startswith("--") else 1)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("none.yaml", "none.yaml: no such file; create it, or leave --config out to use the defaults"),
        ("folder", "folder: is a folder; name the configuration file in it"),
        ("file/x", "file/x: cannot be read: Not a directory; check the path and its permissions"),
        ("a\0", "'a\\x00': cannot be read: embedded null byte; check the path and its permissions"),
    ],
)
def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wanted: str) -> None:
    """A path that leads to no file is one line."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    result = load(Path(name), NONE)
    assert isinstance(result, ConfigError)
    assert (str(result), result.exit_code) == (wanted, 1)


def test_at_most_ten_problems(tmp_path: Path) -> None:
    """The eleventh problem is not shown."""
    result = loading(tmp_path, "".join(f"zz{index}: 1\n" for index in range(20)))
    assert isinstance(result, str)
    assert len(result.splitlines()) == 10


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "null", "cache:\nroutes: ~\n", "\ufeff"])
def test_empty_file(tmp_path: Path, text: str) -> None:
    """A file that says nothing is all defaults."""
    assert loaded(tmp_path, text).settings == Settings()


def test_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample file of the design loads, and says what it shows."""
    monkeypatch.setenv("HOME", "/home/someone")
    assert loaded(tmp_path, SAMPLE).settings == Settings(
        clusters=(
            Cluster(
                name="dev",
                aliases=("dev.k8s.corp",),
                source=Source(kubeconfig=Path("/home/someone/.kube/config"), context="dev"),
            ),
        ),
        forward=(Forward(upstreams=(Address("10.0.0.53", 53), Address("10.0.1.53", 53))),),
        routes=Settings().routes.__class__(sinks=("kernel",)),
    )


GOOD = [
    ("listen: [127.0.0.1, '::1', '[::1]:0', '::ffff:10.0.0.1']", NONE, "listen",
     (Address("127.0.0.1", 53), Address("::1", 53), Address("::1", 0), Address("10.0.0.1", 53))),
    ("listen: ['127.0.0.1:0', '127.0.0.1:0']", NONE, "listen", (Address("127.0.0.1", 0),) * 2),
    ("http: ''", NONE, "http", None),
    ("http: null", NONE, "http", None),
    ("http: '::1'", NONE, "http", Address("::1", 9153)),
    ("forward: [{upstreams: [fd00::53, '[fd00::53]:5353', 10.0.0.1:1, 'fe80::1%eth0']}]", NONE, "forward.0.upstreams",
     (Address("fd00::53", 53), Address("fd00::53", 5353), Address("10.0.0.1", 1), Address("fe80::1%eth0", 53))),
    ("clusters: [{coredns: 10.96.0.10}]", NONE, "clusters.0.coredns", Address("10.96.0.10", 53)),
    ("clusters: [{zone: Dev.K8S.Corp.}]", NONE, "clusters.0.zone", "dev.k8s.corp"),
    ("clusters: [{zone: no}]", NONE, "clusters.0.zone", "no"),
    ("clusters: [{name: 1234}]", NONE, "clusters.0.name", "1234"),
    ("clusters: [{max_staleness: 500ms}]", NONE, "clusters.0.max_staleness", 0.5),
    ("clusters: [{max_staleness: 2m}]", NONE, "clusters.0.max_staleness", 120.0),
    ("clusters: [{max_staleness: 1.5}]", NONE, "clusters.0.max_staleness", 1.5),
    ("clusters: [{max_staleness: 0}]", NONE, "clusters.0.max_staleness", 0.0),
    ("clusters: []", NONE, "clusters", ()),
    ("ns_addresses: [10.0.0.1, 'fd00::1']", NONE, "ns_addresses", (ip_address("10.0.0.1"), ip_address("fd00::1"))),
    ("access: {response_rate: 50}", NONE, "access.response_rate", 50),
    ("access: {allow: [10.1.2.3, 10.0.0.0/8, 'fd00::/8']}", NONE, "access.networks",
     (ip_network("10.1.2.3/32"), ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
    ("routes: {service_cidrs: [10.96.0.0/12]}", NONE, "routes.service_cidrs", (ip_network("10.96.0.0/12"),)),
    ("cache: {prefetch: off}", NONE, "cache.prefetch", False),
    ("clusters: [{name: a, precedence: 1}, {name: b}]", NONE, "clusters.1.zone", "cluster.local"),
    ("clusters: [{aliases: &a [x.y]}, {name: b, zone: z, aliases: [x.z]}]", NONE, "clusters.0.aliases", ("x.y",)),
    ("forward: [{zone: corp, upstreams: [10.0.0.1]}]", Flags(upstream=("10.0.0.2",)), "forward.1",
     Forward(upstreams=(Address("10.0.0.2", 53),))),
    ("forward: [{policy: random, upstreams: [10.0.0.1]}]", Flags(upstream=("10.0.0.2",)), "forward",
     (Forward(upstreams=(Address("10.0.0.2", 53),), policy="random"),)),
    ("listen: ['::1']", Flags(listen=("127.0.0.1:5300",)), "listen", (Address("127.0.0.1", 5300),)),
    ("", Flags(http=""), "http", None),
    ("workers: 2", Flags(workers=3), "workers", 3),
    ("clusters: [{ttl: 9}]", Flags(zone="Dev."), "clusters.0.zone", "dev"),
    ("clusters: [{source: {kubeconfig: a, context: b}}]", Flags(manifests="m"), "clusters.0.source",
     Source(manifests=Path("m"))),
    ("clusters: [{source: {manifests: a}}]", Flags(kubeconfig="k", context="c"), "clusters.0.source",
     Source(kubeconfig=Path("k"), context="c")),
    ("clusters: [{source: {kubeconfig: /k, context: a}}]", Flags(context="c"), "clusters.0.source",
     Source(kubeconfig=Path("/k"), context="c")),
    ("", Flags(context="c"), "clusters.0.source", Source(context="c")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "flags", "path", "wanted"), GOOD, ids=range(len(GOOD)))
def test_good(tmp_path: Path, text: str, flags: Flags, path: str, wanted: object) -> None:
    """A good file under flags gives the value that they say."""
    value: Any = loaded(tmp_path, text, flags).settings
    for step in path.split("."):
        value = value[int(step)] if step.isdigit() else getattr(value, step)
    assert value == wanted


@pytest.mark.parametrize(
    ("written", "wanted"),
    [("objects", "FOLDER/objects"), ("/etc/objects", "/etc/objects"), ("~/objects", "/home/someone/objects")],
)
def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, wanted: str) -> None:
    """A relative path in the file starts at the file's folder."""
    monkeypatch.setenv("HOME", "/home/someone")
    text = f"clusters: [{{source: {{manifests: {written}}}}}]\nlog: {{queries: {{to: {written}}}}}"
    settings = loaded(tmp_path, text).settings
    found = [settings.clusters[0].source.manifests, settings.log.queries.to]
    assert list(map(str, found)) == [wanted.replace("FOLDER", str(tmp_path))] * 2


def test_private_networks() -> None:
    """`private` lets the office ask, and nobody on the internet."""
    networks = Settings().access.networks
    inside = ["10.1.1.1", "172.31.0.1", "192.168.9.9", "127.0.0.1", "169.254.1.1", "::1", "fd12::1", "fe80::1"]
    outside = ["8.8.8.8", "172.32.0.1", "2001:db8::1", "100.64.0.1"]
    asked = {text: any(ip_address(text) in network for network in networks) for text in inside + outside}
    assert asked == {**dict.fromkeys(inside, True), **dict.fromkeys(outside, False)}


def test_origins(tmp_path: Path) -> None:
    """Every effective setting says where it came from."""
    text = "workers: 2\nclusters:\n  - name: dev\n    source: {kubeconfig: k}\ncache:\n  serve_stale: 90\nlisten: []\n"
    found = loaded(tmp_path, text, Flags(listen=("127.0.0.1",), manifests="m", zone="dev.corp"))
    found = found.discovered("forward[0].upstreams", (Address("10.0.0.53", 53),), "/etc/resolv.conf")
    rows = {row.key: (row.value, row.origin.replace(f"{tmp_path}/", "")) for row in effective(found)}
    wanted = {
        "workers": (2, "d.yaml:1"),
        "listen": (["127.0.0.1:53"], "flag --listen"),
        "http": ("127.0.0.1:9153", "default"),
        "clusters[0].name": ("dev", "d.yaml:3"),
        "clusters[0].zone": ("dev.corp", "flag --zone"),
        "clusters[0].source.manifests": ("m", "flag --manifests"),
        "clusters[0].source.kubeconfig": (None, "default"),
        "clusters[0].ttl": (5, "default"),
        "cache.serve_stale": ("90s", "d.yaml:6"),
        "cache.size": (100000, "default"),
        "forward[0].upstreams": (["10.0.0.53:53"], "discovered: /etc/resolv.conf"),
        "routes.service_cidrs": ("auto", "default"),
    }
    assert {key: rows[key] for key in wanted} == wanted


def test_effective_values_load_again(tmp_path: Path) -> None:
    """What is shown can be written into a file and gives the same settings."""
    once = loaded(tmp_path, SAMPLE + "version_bind: x\nns_addresses: [10.0.0.1]\ntcp: {idle_timeout: 1500ms}\n")
    root: dict[str, Any] = {}
    for row in effective(once):
        place: Any = root
        *sections, last = row.key.replace("[0]", "").split(".")
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = row.value
    root |= {name: [root[name]] for name in ("clusters", "forward")}
    assert loaded(tmp_path, yaml.safe_dump(root)).settings == once.settings


SELF = [
    ("0.0.0.0:53", "127.0.0.1", True),
    ("0.0.0.0:53", "10.0.0.2", True),
    ("0.0.0.0:53", "10.0.0.3", False),
    ("0.0.0.0:53", "127.0.0.1:5353", False),
    ("127.0.0.1:53", "127.0.0.1", True),
    ("127.0.0.1:53", "127.0.0.53", False),
    ("127.0.0.1:53", "10.0.0.2", False),
    ("[::]:53", "::1", True),
    ("[::]:53", "fd00::2", True),
    ("[::]:53", "fe80::2%eth0", True),
    ("[::]:53", "127.0.0.1", False),
]


@pytest.mark.parametrize(("listen", "server", "wanted"), SELF)
def test_upstream_is_self(tmp_path: Path, listen: str, server: str, wanted: bool) -> None:
    """A server to ask that is this server is found, as an upstream and as a cluster's CoreDNS."""
    text = f"listen: ['{listen}']\nforward:\n- upstreams: ['{server}']\nclusters:\n- coredns: '{server}'\n"
    found = loaded(tmp_path, text)
    problems = upstream_is_self(found.settings, frozenset({"10.0.0.2", "fd00::2", "fe80::2"}))
    keys = ["forward[0].upstreams[0]", "clusters[0].coredns"]
    assert [problem.key for problem in problems] == (keys if wanted else [])
    if wanted:
        assert str(found.located(problems[0])).startswith(f"{tmp_path}/d.yaml:3: forward[0].upstreams[0]: ")


def test_schema_describes_every_setting() -> None:
    """Each setting of the schema has one sentence about it and its default."""
    names = []

    def walk(section: dict[str, Any], prefix: str) -> None:
        assert section["additionalProperties"] is False
        for name, setting in section["properties"].items():
            names.append(prefix + name)
            assert setting["description"].endswith("."), prefix + name
            assert "default" in setting, prefix + name
            for part in (setting, setting.get("items", {})):
                if part.get("type") == "object":
                    walk(part, f"{prefix}{name}.")

    walk(schema(), "")
    in_force = {row.key.replace("[0]", "") for row in effective(Loaded(Settings(), {}))}
    assert {"listen", "clusters.source.in_cluster", "routes.gateways.selector", "tcp.idle_timeout"} <= in_force
    assert in_force <= set(names)


_names = st.sampled_from(
    ["listen", "http", "access", "allow", "clusters", "zone", "source", "forward", "cache", "<<", "x"]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
    | st.sampled_from(["auto", "10.0.0.0/8", "::1", "60s", "private"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
_bytes = st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
_yaml = st.dictionaries(_names, _values, max_size=3).map(lambda value: yaml.safe_dump(value).encode())
_scalars = st.tuples(_names, st.text("0123456789.:[]{}%/-_e+&*!~'\"", max_size=20)).map(
    lambda pair: f"{pair[0]}: {pair[1]}".encode()
)


@examples(300, HealthCheck.function_scoped_fixture)
@given(_bytes | _yaml | _scalars)
def test_any_file(tmp_path: Path, octets: bytes) -> None:
    """Whatever a file holds, it loads or gives at most ten printable lines, each with the file's name."""
    result = loading(tmp_path, octets)
    if isinstance(result, str):
        lines = result.split("\n")
        assert len(lines) <= 10
        assert all(line.startswith("d.yaml") and line.isprintable() for line in lines), result


@examples(150)
@given(
    st.builds(
        Flags,
        listen=st.lists(st.text(max_size=9), max_size=2).map(tuple),
        http=st.none() | st.text(max_size=9),
        zone=st.none() | st.text(),
        manifests=st.none() | st.text(),
        workers=st.none() | st.integers(),
        upstream=st.lists(st.text("0123456789.:[]%", max_size=12), max_size=2).map(tuple),
    )
)
def test_any_flags(flags: Flags) -> None:
    """Whatever the flags say, they load or are bad usage."""
    result = load(None, flags)
    if isinstance(result, ConfigError):
        assert result.exit_code == 2
        assert all(line.startswith("--") and line.isprintable() for line in str(result).split("\n"))
