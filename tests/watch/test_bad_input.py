"""What is wrong is said in one line that names it and what to do; all else is served, and nothing is a traceback."""

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import dns.flags
import dns.message
import pytest
import trustme
import yaml

from dnsbridge.watch.api.certificate import not_after
from dnsbridge.watch.api.connection import ApiAddress, CannotConnect, Connection
from dnsbridge.watch.api.refusal import unreachable
from tests.apiserver.access import MASTERS, User
from tests.apiserver.server import ApiServer, in_thread
from tests.support.kubeconfigs import Fields, cluster_entry, endpoint_slice, service, write
from tests.support.program import Program, eventually
from tests.support.started import run

DAY = timedelta(days=1)


def settings(kubeconfig: Path, **more: object) -> Fields:
    """One cluster whose CoreDNS is never asked."""
    return {"clusters": [{"name": "dev", "source": {"kubeconfig": str(kubeconfig)}, "fallback": "never", **more}]}


def complaints(program: Program) -> list[str]:
    """The lines of its log above INFO, without their time, and without those that come again at intervals."""
    lines = [line.split(" ", 1)[1] for line in program.log() if " INFO " not in line]
    return [line for line in lines if "not read yet: " not in line and "(still, " not in line]


def refused(folder: Path, *options: str) -> str:
    """What `dnsbridge serve` says when it does not start: one line, exit code 1, nothing else of note."""
    file = folder / "dnsbridge.yaml"
    file.write_text(json.dumps(settings(folder / "config")), encoding="utf-8")
    words = ["serve", "--config", str(file), "--http", "", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9"]
    done = run(*words, *options)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert len(lines) == 1, done.stderr
    return lines[0]


def entries(**cluster: object) -> dict[str, tuple[Fields, Fields]]:
    """A context whose cluster has further fields."""
    return {"one": ({"server": "https://127.0.0.1:1", **cluster}, {}), "two": ({"server": "https://127.0.0.1:1"}, {})}


def edited(edit: Callable[[Fields], object]) -> Callable[[Path], None]:
    """A kubeconfig of which something was changed."""

    def make(path: Path) -> None:
        write(path, entries())
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        edit(document)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")

    return make


def text(content: str) -> Callable[[Path], None]:
    """A file with this content."""

    def make(path: Path) -> None:
        path.write_text(content, encoding="utf-8")

    return make


def certificate(**fields: str) -> Callable[[Path], None]:
    """A kubeconfig whose cluster says this of its certificate."""

    def make(path: Path) -> None:
        write(path, entries(**fields))

    return make


def nothing(path: Path) -> None:
    """No file at all."""


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (nothing, [], "no such file"),
        (lambda path: path.mkdir(), [], "is a directory"),
        (text("kind: Config\nclusters: [\n"), [], ":3: not YAML"),
        (text("hello"), [], "expected a mapping with clusters, users and contexts"),
        (text(""), [], "expected a mapping with clusters, users and contexts"),
        (text("\x00\x01"), [], "not YAML"),
        (text("clusters: 7\ncurrent-context: one\n"), [], "clusters: expected a list"),
        (text("contexts: [{name: one, context: here}]\n"), [], "contexts[0]: expected a mapping with name and context"),
        (edited(lambda document: None), ["--context", "three"], "no context three; there is: one, two"),
        (edited(lambda document: document.update({"current-context": "four"})), [], "no context four; there is: one"),
        (edited(lambda document: document.pop("current-context")), [], "choose one with --context: one, two"),
        (edited(lambda document: document["users"].pop(0)), [], "context one: no user one; there is: two"),
        (edited(lambda document: document["clusters"].pop(0)), [], "context one: no cluster one; there is: two"),
        (edited(lambda document: document["clusters"][0]["cluster"].clear()), [], "server: expected a URL"),
        (
            certificate(**{"certificate-authority": "missing.crt"}),
            [],
            "certificate-authority: no such file",
        ),
        (
            certificate(**{"certificate-authority-data": "abc"}),
            [],
            "certificate-authority-data: not base64",
        ),
        (
            certificate(**{"certificate-authority-data": "aGVsbG8="}),
            [],
            "certificate or key",
        ),
    ],
)
def test_kubeconfigs(tmp_path: Path, make: Callable[[Path], None], options: list[str], said: str) -> None:
    """A kubeconfig that cannot be used is one line that names it and what is wrong."""
    path = tmp_path / "config"
    make(path)
    connection = Connection(ApiAddress(path, options[1] if options else None))
    with pytest.raises(CannotConnect) as refusal:
        asyncio.run(connection.open())
    line = str(refusal.value)
    assert said in line
    assert str(path) in line
    assert line.isprintable()


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (nothing, [], "no such file"),
        (text("hello"), [], "expected a mapping with clusters, users and contexts"),
        (edited(lambda document: None), ["--context", "three"], "no context three; there is: one, two"),
        (certificate(**{"certificate-authority": "missing.crt"}), [], "certificate-authority: no such file"),
    ],
)
def test_start_that_cannot_go_on(tmp_path: Path, make: Callable[[Path], None], options: list[str], said: str) -> None:
    """With such a kubeconfig the program ends with that line and exit code 1."""
    make(tmp_path / "config")
    line = refused(tmp_path, *(["--kubeconfig", str(tmp_path / "config"), *options] if options else []))
    assert said in line
    assert str(tmp_path / "config") in line


def test_no_cluster_at_all(tmp_path: Path) -> None:
    """With nothing to be found, the line names all that was looked for."""
    file = tmp_path / "dnsbridge.yaml"
    file.write_text("{}", encoding="utf-8")
    done = run("serve", "--config", str(file), "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "$KUBECONFIG, ~/.kube/config" in done.stderr


def expired_server(server: ApiServer, folder: Path) -> tuple[Fields, Fields]:
    """The server's certificate has ended."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - DAY)
    assert server._tls
    server.call(certificate.configure_cert, server._tls)
    data = base64.b64encode(authority.cert_pem.bytes()).decode()
    return {"server": server.url, "certificate-authority-data": data}, {"token": server.access.issue()}


def wrong_authority(server: ApiServer, folder: Path) -> tuple[Fields, Fields]:
    """The kubeconfig has another authority."""
    data = base64.b64encode(trustme.CA().cert_pem.bytes()).decode()
    return {"server": server.url, "certificate-authority-data": data}, {"token": server.access.issue()}


def expired_client(server: ApiServer, folder: Path) -> tuple[Fields, Fields]:
    """The client's certificate has ended."""
    assert server.authority
    certificate, key = server.authority.client_certificate("alice", (MASTERS,), datetime.now(UTC) - DAY)
    user = {
        "client-certificate-data": base64.b64encode(certificate).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }
    return cluster_entry(server), user


def no_token(server: ApiServer, folder: Path) -> tuple[Fields, Fields]:
    """The token is nobody's."""
    return cluster_entry(server), {"token": "nobody"}


def no_rights(server: ApiServer, folder: Path) -> tuple[Fields, Fields]:
    """The token's user may do nothing."""
    return cluster_entry(server), {"token": server.access.issue(User("viewer"))}


def plain_text(server: ApiServer, folder: Path) -> tuple[Fields, Fields]:
    """TLS is expected, and the kubeconfig has http."""
    return {"server": server.url.replace("https", "http")}, {}


def nobody_there(server: ApiServer, folder: Path) -> tuple[Fields, Fields]:
    """The port is closed."""
    return {"server": "https://127.0.0.1:1"}, {}


def no_such_host(server: ApiServer, folder: Path) -> tuple[Fields, Fields]:
    """The host is no name, which is found without asking any DNS server."""
    return {"server": "https://api..invalid:6443"}, {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (expired_server, "TLS: certificate has expired"),
        (wrong_authority, "TLS: unable to get local issuer certificate|TLS: self.signed certificate"),
        (expired_client, "kubeconfig .*: the client certificate has expired, on 20..-..-..; renew it"),
        (no_token, "HTTP 401: Unauthorized"),
        (nobody_there, "cannot connect to 127.0.0.1:1: connection refused"),
        (no_such_host, "label empty or too long"),
        (plain_text, "the connection broke|HTTP 400"),
    ],
)
def test_api_servers(tmp_path: Path, make: Callable[[ApiServer, Path], tuple[Fields, Fields]], said: str) -> None:
    """An API server that cannot be asked is one line for all its resources, however often it is tried."""
    with in_thread(ApiServer()) as server:
        path = write(tmp_path / "config", {"one": make(server, tmp_path)})
        with Program(settings=settings(path), http=True, listen=["127.0.0.1:0"]) as program:
            program.wait_for_log(f"WARNING cluster dev: .*({said}).*; trying again")
            errors = 'dnsbridge_watch_errors_total{cluster="dev",resource="services"}'
            eventually(lambda: program.metrics()[errors] >= 3)
            assert len(complaints(program)) == 1, complaints(program)
            assert program.ask("web.shop.svc.cluster.local").rcode().name == "SERVFAIL"


def test_words_for_connections() -> None:
    """What the HTTP client raises, in words of our own: a name without address, a refused port, a broken stream."""
    key = aiohttp.client_reqrep.ConnectionKey("api.example", 6443, True, True, None, None, None)
    refusals = [
        (aiohttp.ClientConnectorDNSError(key, OSError(None, "Name or service not known")), "name or service not known"),
        (aiohttp.ClientConnectorError(key, OSError(113, "Connect call failed")), "no route to host"),
    ]
    for error, why in refusals:
        assert unreachable(error).problem == f"cannot connect to api.example:6443: {why}"
    assert unreachable(aiohttp.ConnectionTimeoutError()).problem == "no connection within 10 s"
    for broken in (
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError("<b>"),
        ConnectionResetError(104, "x"),
    ):
        assert unreachable(broken).problem == "the connection broke"


def test_certificate_dates(tmp_path: Path) -> None:
    """The end of a certificate's time, before and after 2050, where its form changes; nothing from what is none."""
    path = tmp_path / "certificate"
    assert not_after(path) is None
    for year in (2026, 2049, 2050, 2099):
        ends = datetime(year, 7, 1, 12, 30, 5, tzinfo=UTC)
        issued = trustme.CA().issue_cert("alice@example.com", not_after=ends)
        path.write_bytes(issued.cert_chain_pems[0].bytes())
        assert not_after(path) == ends
    broken = [path.read_text()[:200], *(ssl.DER_cert_to_PEM_cert(octets) for octets in (b"0\x80", b"0\x84", b"0\x01"))]
    for text in ("", "hello", *broken):
        path.write_text(text)
        assert not_after(path) is None


def test_no_rights(tmp_path: Path) -> None:
    """A right that is missing is one line for each resource, with the rule that would grant it."""
    with in_thread(ApiServer()) as server:
        path = write(tmp_path / "config", {"one": no_rights(server, tmp_path)})
        with Program(settings=settings(path), listen=["127.0.0.1:0"]) as program:
            for group, plural in (("", "services"), ("discovery.k8s.io", "endpointslices")):
                program.wait_for_log(
                    rf'WARNING cluster dev: {plural}: HTTP 403: .*; a ClusterRole must grant apiGroups: \["{group}"\], '
                    rf'resources: \["{plural}"\], verbs: \["list", "watch"\]'
                )
            lines = complaints(program)
            assert len(lines) == len(set(lines)) <= 8


GOOD = [service("web", "10.96.0.80"), service("db"), endpoint_slice("db", {"db-0": "10.128.0.7"})]
LABEL = {"kubernetes.io/service-name": "db"}


def odd(kind: str, name: str, **fields: object) -> Fields:
    """An object with fields of our choosing."""
    api_version = "discovery.k8s.io/v1" if kind == "EndpointSlice" else "v1"
    metadata = {"name": name, "namespace": "shop", "labels": LABEL}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


ODD = [
    (odd("Service", "no-spec"), "Service shop/no-spec: spec: expected, but missing"),
    (odd("Service", "bad-ip", spec={"clusterIP": "10.96.0.300"}), "Service shop/bad-ip: spec.clusterIP"),
    (
        odd("Service", "Under_Score", spec={"clusterIP": "10.96.0.9"}),
        "Under_Score: metadata.name: expected a DNS label",
    ),
    (
        odd("Service", "a" * 64, spec={"clusterIP": "10.96.0.9"}),
        f"shop/{'a' * 64}: metadata.name: expected a DNS label",
    ),
    (
        odd("Service", "dotted.name", spec={"clusterIP": "10.96.0.9"}),
        "dotted.name: metadata.name: expected a DNS label",
    ),
    (odd("EndpointSlice", "none", endpoints=[{}], addressType="IPv4"), "endpoints[0].addresses: expected, but missing"),
    (
        odd("EndpointSlice", "mixed", addressType="IPv4", endpoints=[{"addresses": ["fd00::1"]}]),
        "EndpointSlice shop/mixed: endpoints[0].addresses",
    ),
]
"""Objects that are left out as a whole."""
FLAWED = [
    (
        odd("Service", "text", spec={"clusterIP": "10.96.0.9", "ports": "x"}),
        "Service shop/text: spec.ports: expected a list or null, got a string",
    ),
    (
        odd("Service", "port", spec={"clusterIP": "10.96.0.9", "ports": [{"port": 70000}]}),
        "Service shop/port: spec.ports[0].port: expected a number from 1 to 65535, got 70000",
    ),
    (
        odd("Service", "line", spec={"clusterIP": "10.96.0.9", "ports": [{"name": "a\nb", "port": 1}]}),
        "Service shop/line: spec.ports[0].name: expected a DNS label",
    ),
    (odd("EndpointSlice", "type", endpoints=[]), "EndpointSlice shop/type: addressType: expected one of IPv4, IPv6"),
    (
        odd("EndpointSlice", "host", addressType="IPv4", endpoints=[{"addresses": ["10.1.1.1"], "hostname": "a_b"}]),
        "EndpointSlice shop/host: endpoints[0].hostname: expected a DNS label",
    ),
]
"""Objects of which one part is left out."""


@pytest.mark.parametrize("streaming", [True, False])
def test_odd_objects(tmp_path: Path, streaming: bool) -> None:
    """An object, or a part of one, that is not as promised is one line and counted; all else is served."""
    with in_thread(ApiServer(tls=False)) as server:
        server.watches.streaming_lists = streaming
        server.change(put=[*GOOD, *(value for value, _ in [*ODD, *FLAWED])])
        path = server.kubeconfig(tmp_path / "config")
        with Program(settings=settings(path), http=True, listen=["127.0.0.1:0"]) as program:
            eventually(lambda: program.ask("web.shop.svc.cluster.local").answer)
            assert str(program.ask("db-0.db.shop.svc.cluster.local").answer[0][0]) == "10.128.0.7"
            lines = complaints(program)
            for rows, ending in ((ODD, "; left out"), (FLAWED, "; only this is left out")):
                for value, said in rows:
                    found = [line for line in lines if said in line]
                    assert len(found) == 1, (said, lines)
                    assert found[0].startswith("WARNING cluster dev: "), value
                    assert found[0].endswith(ending)
            assert len(lines) == len(ODD) + len(FLAWED)
            for name in ("text", "port", "line"):
                assert str(program.ask(f"{name}.shop.svc.cluster.local").answer[0][0]) == "10.96.0.9"
            assert str(program.ask("10-1-1-1.db.shop.svc.cluster.local").answer[0][0]) == "10.1.1.1"
            metrics = program.metrics()
            for resource in ("services", "endpointslices"):
                kind = "Service" if resource == "services" else "EndpointSlice"
                for counter, rows in (("invalid_objects", ODD), ("invalid_parts", FLAWED)):
                    counted = metrics[f'dnsbridge_watch_{counter}_total{{cluster="dev",resource="{resource}"}}']
                    assert counted == sum(value["kind"] == kind for value, _ in rows)


def test_a_good_object_turns_odd(tmp_path: Path) -> None:
    """The last good state of an object stays when what comes of it later is odd; then it can be deleted."""
    with in_thread(ApiServer(tls=False)) as server:
        server.change(put=GOOD)
        path = server.kubeconfig(tmp_path / "config")
        with Program(settings=settings(path), listen=["127.0.0.1:0"]) as program:
            eventually(lambda: program.ask("web.shop.svc.cluster.local").answer)
            server.change(put=[odd("Service", "web", spec={"clusterIP": "x"}), service("next", "10.96.0.81")])
            eventually(lambda: program.ask("next.shop.svc.cluster.local").answer)
            assert len(complaints(program)) == 1
            assert str(program.ask("web.shop.svc.cluster.local").answer[0][0]) == "10.96.0.80"
            server.change(delete=[service("web")])
            eventually(lambda: not program.ask("web.shop.svc.cluster.local").answer)


def test_a_flaw_is_said_once(tmp_path: Path) -> None:
    """The same wrong hostname, at another place of a slice that changes often, is counted each time and said once."""
    wrong = {"addresses": ["10.1.1.1"], "hostname": "test.hostname"}
    others = [{"addresses": [f"10.1.1.{host}"]} for host in (2, 3, 4)]

    def slice_with(count: int) -> Fields:
        return odd("EndpointSlice", "host", addressType="IPv4", endpoints=[*others[:count], wrong])

    counter = 'dnsbridge_watch_invalid_parts_total{cluster="dev",resource="endpointslices"}'
    with in_thread(ApiServer(tls=False)) as server:
        server.change(put=[*GOOD, slice_with(0)])
        path = server.kubeconfig(tmp_path / "config")
        with Program(settings=settings(path), http=True, listen=["127.0.0.1:0"]) as program:
            for count in (1, 2, 3):
                eventually(lambda count=count: program.metrics().get(counter) == count)  # type: ignore[misc]
                server.change(put=[slice_with(count)])
            eventually(lambda: program.ask("10-1-1-4.db.shop.svc.cluster.local").answer)
            assert str(program.ask("10-1-1-1.db.shop.svc.cluster.local").answer[0][0]) == "10.1.1.1"
            (line,) = complaints(program)
            assert line.endswith(", got test.hostname; only this is left out")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A headless service with 10,000 endpoints in one slice, beside others."""
    addresses = [f"10.{128 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}" for number in range(10_000)]
    folder = tmp_path_factory.mktemp("crowd")
    with ExitStack() as stack:
        server = stack.enter_context(in_thread(ApiServer(tls=False)))
        server.change(put=[*GOOD, service("crowd"), endpoint_slice("crowd", addresses)])
        path = server.kubeconfig(folder / "config")
        program = stack.enter_context(Program(settings=settings(path), listen=["127.0.0.1:0"]))
        eventually(lambda: program.ask("crowd.shop.svc.cluster.local").rcode().name == "NOERROR")
        yield program


@pytest.mark.parametrize("rtype", ["A", "SRV"])
def test_more_than_a_message_holds(crowd: Program, rtype: str) -> None:
    """Of 10,000 endpoints TCP gives the records that fit into 65,535 octets."""
    name = "crowd.shop.svc.cluster.local" if rtype == "A" else "_http._tcp.crowd.shop.svc.cluster.local"
    octets = crowd.exchange_raw(dns.message.make_query(name, rtype).to_wire(), "tcp")
    assert octets is not None
    assert 16_000 < len(octets) <= 65_535
    over_tcp = dns.message.from_wire(octets)
    assert over_tcp.rcode().name == "NOERROR"
    assert sum(map(len, over_tcp.answer)) > 700


def test_ten_thousand_endpoints(crowd: Program) -> None:
    """A slice with 10,000 endpoints: TC over UDP, each endpoint has its name, the rest is served, nothing is said."""
    assert crowd.ask("crowd.shop.svc.cluster.local").flags & dns.flags.TC
    assert crowd.ask("_http._tcp.crowd.shop.svc.cluster.local", "SRV").flags & dns.flags.TC
    assert str(crowd.ask("10-128-0-1.crowd.shop.svc.cluster.local").answer[0][0]) == "10.128.0.1"
    assert crowd.ask("web.shop.svc.cluster.local").answer
    assert complaints(crowd) == []
