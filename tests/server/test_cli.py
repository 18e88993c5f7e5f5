"""The command line as a process: what each command prints, where, and with which exit code.

Every command that could ask a DNS server gets one by --upstream, so that none is looked for on this machine.
"""

import json
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dns.name
import dns.rdatatype
import dns.zone
import pytest

from dnsbridge import __version__
from tests.support.knot import Knot
from tests.support.namespace import Namespace
from tests.support.program import DEADLINE, ROOT, RunningUpstream, closed_port
from tests.support.scripted_upstream import ScriptedUpstream, answer
from tests.support.started import PYTHON_M, run

EXAMPLE = ["--manifests", str(ROOT / "dnsbridge" / "example")]
NOBODY = ["--upstream", "127.0.0.1:9"]
"""Not asked in these tests: what is asked is known before."""
WEB = "web.shop.svc.cluster.local"
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+ [A-Z]+ +")


def printed(*arguments: str, code: int = 0) -> Any:
    """The JSON that a command prints; standard error has log lines only."""
    done = run(*arguments, "--output", "json")
    assert done.returncode == code, done.stderr
    assert all(LOG_LINE.match(line) for line in done.stderr.splitlines()), done.stderr
    return json.loads(done.stdout)


def test_version() -> None:
    """One line, the program and its version."""
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"dnsbridge {__version__}\n", "")


@pytest.mark.parametrize(
    "command", ["", "serve", "demo", "lookup", "zone", "top", "config", "config check", "config show", "config schema"]
)
def test_help_has_an_example(command: str) -> None:
    """Every command explains itself, and shows how it is called."""
    done = run(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: dnsbridge{' ' if command else ''}{command} ")
    example = " ".join(done.stdout.partition("Example: ")[2].split())
    assert example.startswith(f"dnsbridge {command}".strip())


USAGE = [
    ([], None),
    (["config"], None),
    (["nope"], "No such command 'nope'; see 'dnsbridge --help'"),
    (["lookup"], "Missing argument 'NAME'; see 'dnsbridge lookup --help'"),
    (["lookup", WEB, "A", "B"], "Got unexpected extra argument (B); see 'dnsbridge lookup --help'"),
    (["demo", "--listen", "127.0.0.1:1"], r"No such option '?--listen'?.*; see 'dnsbridge demo --help'"),
    (
        ["lookup", WEB, "NOTYPE", *EXAMPLE, *NOBODY],
        "NOTYPE: no such record type; use a mnemonic such as A, AAAA, SRV, or TYPE65",
    ),
    (["lookup", "a..b", *EXAMPLE, *NOBODY], "'a..b': a label is empty; use a name such as web.shop.svc.cluster.local"),
    (
        ["lookup", "a\udcff.b", *EXAMPLE, *NOBODY],
        r"'a\\udcff.b': not printable text; use a name such as web.shop.svc.cluster.local",
    ),
    (["lookup", f"{'a' * 64}.b", *EXAMPLE, *NOBODY], "'a{64}.b': a label has over 63 octets; use a name such as .*"),
    (
        ["lookup", WEB, "--output", "yaml"],
        "Invalid value for '--output': 'yaml' is not one of 'table', 'json'; see 'dnsbridge lookup --help'",
    ),
    (["zone", *EXAMPLE, *NOBODY, "--cluster", "x"], "--cluster: no cluster x; there is: default"),
    (
        ["config", "check", "--listen", "localhost"],
        '--listen: "localhost" is not an IP address;'
        r" write ADDR:PORT, such as 0.0.0.0:53 or \[::\]:53",
    ),
    (
        ["config", "show", "--upstream", "https://192.0.2.1"],
        '--upstream: "https://192.0.2.1": "https://" is not a transport;'
        r" write ADDR\[:PORT\], tcp://ADDR\[:PORT\], tls://ADDR\[:PORT\]#NAME or service://NAMESPACE/NAME",
    ),
    (["serve", "--workers", "many"], ".*'--workers': 'many' is not a valid integer; see 'dnsbridge serve --help'"),
]


@pytest.mark.parametrize(("arguments", "said"), USAGE)
def test_bad_usage_is_one_line(arguments: list[str], said: str | None) -> None:
    """Exit code 2, nothing on standard output, one line on standard error; without any argument the help."""
    done = run(*arguments)
    assert done.returncode == 2
    if said is None:
        assert (done.stdout + done.stderr).startswith("Usage: dnsbridge")
        return
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    line = done.stderr.rstrip("\n")
    assert line == said or re.fullmatch(said, line), line


KEYS = ["name", "type", "rcode", "source", "cluster", "because", "objects", "records", "failed", "links"]
OBJECT_KEYS = ["kind", "namespace", "name", "resourceVersion"]
RECORD_KEYS = ["section", "name", "ttl", "type", "data"]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the cases below write as {KEY}: files, and addresses of servers."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "broken.yaml").write_text("kind: [", encoding="utf-8")
    with (
        RunningUpstream(ScriptedUpstream(answer("@ 60 IN A 192.0.2.1"))) as upstream,
        RunningUpstream(ScriptedUpstream(answer("@ 5 IN A 192.0.2.2"))) as coredns,
        closed_port() as closed,
    ):
        source = {"manifests": EXAMPLE[1]}
        for name, address in (("up", coredns.address), ("down", f"127.0.0.1:{closed.getsockname()[1]}")):
            settings = {"clusters": [{"name": "dev", "source": source, "coredns": address}], "forward": []}
            (folder / f"{name}.yaml").write_text(json.dumps(settings), encoding="utf-8")
        unsynced = {"clusters": [{"source": {"manifests": str(folder / "broken.yaml")}, "coredns": coredns.address}]}
        (folder / "unsynced.yaml").write_text(json.dumps({**unsynced, "forward": []}), encoding="utf-8")
        yield {
            "FOLDER": str(folder),
            "UPSTREAM": upstream.address,
            "CLOSED": f"127.0.0.1:{closed.getsockname()[1]}",
        }


WEB_OBJECTS = ["Service shop/web 1021", "EndpointSlice shop/web-abc12 1042"]
SOA = ["authority cluster.local. 1 SOA"]
LOOKUPS: list[tuple[str, list[str], dict[str, Any], list[str], list[str]]] = [
    # what, arguments, keys, objects, records (data of an SOA left out)
    (
        "found",
        [WEB, *EXAMPLE, *NOBODY],
        {
            "type": "A",
            "rcode": "NOERROR",
            "source": "cluster",
            "cluster": "default",
            "because": "a service: its ClusterIPs",
        },
        WEB_OBJECTS,
        [f"answer {WEB}. 5 A 10.96.12.34"],
    ),
    (
        "no data",
        [WEB, "mx", *EXAMPLE, *NOBODY],
        {
            "type": "MX",
            "rcode": "NOERROR",
            "source": "cluster",
            "because": "a service: its ClusterIPs; none of this type",
        },
        WEB_OBJECTS,
        SOA,
    ),
    (
        "no such name",
        ["no.shop.svc.cluster.local", *EXAMPLE, *NOBODY],
        {"rcode": "NXDOMAIN", "source": "cluster", "because": "namespace shop has no service no"},
        [],
        SOA,
    ),
    (
        "an address",
        ["10.96.12.34", *EXAMPLE, *NOBODY],
        {"name": "34.12.96.10.in-addr.arpa.", "type": "PTR", "rcode": "NOERROR", "source": "cluster"},
        WEB_OBJECTS,
        [f"answer 34.12.96.10.in-addr.arpa. 5 PTR {WEB}."],
    ),
    (
        "forwarded",
        ["www.example.com", *EXAMPLE, "--upstream", "{UPSTREAM}"],
        {
            "rcode": "NOERROR",
            "source": "forward",
            "cluster": "",
            "because": "no cluster has this name; forward zone . goes to {UPSTREAM}",
        },
        [],
        ["answer www.example.com. 60 A 192.0.2.1"],
    ),
    (
        "not forwarded",
        ["www.example.com", *EXAMPLE, "--upstream", "{CLOSED}"],
        {"rcode": "SERVFAIL", "source": "forward", "failed": True},
        [],
        [],
    ),
    (
        "no forward zone",
        ["www.example.com", "--config", "{FOLDER}/up.yaml"],
        {"rcode": "REFUSED", "source": "none", "cluster": "", "failed": True},
        [],
        [],
    ),
    (
        "an ExternalName",
        ["docs.shop.svc.cluster.local", *EXAMPLE, "--upstream", "{UPSTREAM}"],
        {"rcode": "NOERROR", "source": "cluster", "because": "an ExternalName service"},
        ["Service shop/docs 1126"],
        ["answer docs.shop.svc.cluster.local. 5 CNAME www.example.com.", "answer www.example.com. 60 A 192.0.2.1"],
    ),
    (
        "from CoreDNS",
        ["custom.cluster.local", "--config", "{FOLDER}/up.yaml"],
        {
            "rcode": "NOERROR",
            "source": "coredns",
            "cluster": "dev",
            "because": "the specification defines no such shape of name; the cluster's CoreDNS was asked and answered",
        },
        [],
        ["answer custom.cluster.local. 5 A 192.0.2.2"],
    ),
    (
        "not from CoreDNS",
        ["custom.cluster.local", "--config", "{FOLDER}/down.yaml"],
        {"rcode": "SERVFAIL", "source": "cluster", "cluster": "dev", "failed": True},
        [],
        [],
    ),
    (
        "unsynced, from CoreDNS",
        [WEB, "--config", "{FOLDER}/unsynced.yaml"],
        {
            "rcode": "NOERROR",
            "source": "coredns",
            "because": "the cluster has not been read yet; the cluster's CoreDNS was asked and answered",
        },
        [],
        [f"answer {WEB}. 5 A 192.0.2.2"],
    ),
    (
        "unsynced",
        [WEB, "--manifests", "{FOLDER}/broken.yaml", *NOBODY],
        {"rcode": "SERVFAIL", "source": "cluster", "because": "the cluster has not been read yet", "failed": True},
        [],
        [],
    ),
]


def without_serial(line: str) -> str:
    """A record without the data of an SOA, whose serial is the time of each run."""
    return line.partition(" ns.dns.")[0] if " SOA " in line else line


@pytest.mark.parametrize(
    ("arguments", "keys", "objects", "records"), [case[1:] for case in LOOKUPS], ids=[case[0] for case in LOOKUPS]
)
def test_lookup(
    places: dict[str, str], arguments: list[str], keys: dict[str, Any], objects: list[str], records: list[str]
) -> None:
    """The JSON has always the same keys, and the table says the same; the exit code is 1 when there is no answer."""
    arguments = [argument.format(**places) for argument in arguments]
    keys = {"failed": False, **keys}
    shown = printed("lookup", *arguments, code=int(keys["failed"]))
    assert list(shown) == KEYS
    assert all(list(each) == OBJECT_KEYS for each in shown["objects"])
    assert all(list(each) == RECORD_KEYS for each in shown["records"])
    expected = {key: value.format(**places) if isinstance(value, str) else value for key, value in keys.items()}
    assert {key: shown[key] for key in expected} == expected
    assert [
        f"{each['kind']} {each['namespace']}/{each['name']} {each['resourceVersion']}" for each in shown["objects"]
    ] == objects
    lines = [" ".join(str(each[key]) for key in RECORD_KEYS) for each in shown["records"]]
    assert [without_serial(line) for line in lines] == records
    if keys["rcode"] != "NOERROR" or shown["source"] != "cluster":
        return
    table = run("lookup", *arguments).stdout.splitlines()
    assert table[0] == f"{shown['name']} {shown['type']}: {shown['rcode']}, from cluster {shown['cluster']}"
    assert table[1] == f"because: {shown['because']}"
    rows = [" ".join(line.split()) for line in table[-len(lines) :]]
    assert [without_serial(row) for row in rows] == [without_serial(" ".join(line.split())) for line in lines]


def listed(zone: dns.zone.Zone) -> set[tuple[str, int, str, str]]:
    """The records of a zone but for the SOA, whose serial is the time."""
    return {
        (name.to_text(), ttl, dns.rdatatype.to_text(data.rdtype), data.to_text())
        for name, ttl, data in zone.iterate_rdatas()
        if data.rdtype != dns.rdatatype.SOA
    }


def test_zone_is_a_master_file() -> None:
    """dnspython reads it, with SOA and NS at the apex, and the JSON has the same records."""
    done = run("zone", *EXAMPLE, *NOBODY, "--zone", "k8s.test")
    assert (done.returncode, done.stderr) == (0, "")
    zone = dns.zone.from_text(done.stdout, relativize=False)
    assert zone.origin == dns.name.from_text("k8s.test")
    assert zone.get_soa().mname == dns.name.from_text("ns.dns.k8s.test")
    records = listed(zone)
    assert ("web.shop.svc.k8s.test.", 5, "A", "10.96.12.34") in records
    assert ("docs.shop.svc.k8s.test.", 5, "CNAME", "www.example.com.") in records
    shown = printed("zone", *EXAMPLE, *NOBODY, "--zone", "k8s.test")
    assert all(list(each) == ["name", "ttl", "type", "data"] for each in shown)
    assert {
        (each["name"], each["ttl"], each["type"], each["data"]) for each in shown if each["type"] != "SOA"
    } == records


@pytest.mark.needs("knotd")
def test_zone_loads_in_knot(tmp_path: Path) -> None:
    """A real server takes the printed zone, and has every record of it."""
    text = run("zone", *EXAMPLE, *NOBODY).stdout
    zone = dns.zone.from_text(text, relativize=False)
    with Knot(tmp_path, {"cluster.local": text}) as knot:
        for name, wanted in zone.iterate_rdatasets():
            got = knot.ask(name.to_text(), dns.rdatatype.to_text(wanted.rdtype))
            assert got.answer[0].to_rdataset() == wanted, name


@pytest.mark.parametrize("arguments", [["zone"], ["zone", "--output", "json"]])
def test_a_reader_that_has_had_enough(tmp_path: Path, arguments: list[str]) -> None:
    """`dnsbridge zone | head -1` ends and says nothing, although most of the output finds no reader."""
    items = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"service-{number}", "namespace": "many"},
            "spec": {"type": "ExternalName", "externalName": f"host-{number}.example.com"},
        }
        for number in range(3000)
    ]
    manifest = tmp_path / "many.json"
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), encoding="utf-8")
    command = [*PYTHON_M, *arguments, "--manifests", str(manifest), *NOBODY]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        # click ends with 1 when it meets the closed pipe; a write that was cut short is none.
        assert process.wait(DEADLINE) in (0, 1)


@pytest.mark.parametrize("arguments", [["--version"], ["zone", *EXAMPLE, *NOBODY], ["config", "show", *NOBODY]])
def test_a_full_disk(arguments: list[str]) -> None:
    """What cannot be written is an error of one line, and the exit code says so."""
    with Path("/dev/full").open("w", encoding="ascii") as full:
        command = [*PYTHON_M, *arguments]
        error = subprocess.PIPE
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=error, text=True, timeout=DEADLINE, check=False)
    assert done.stderr == "standard output: no space left on device; make room there, or write elsewhere\n"
    assert done.returncode == 1


BAD_FILE = """listen: ["127.0.0.1:0"]
clusters:
  - name: dev
    zone: cluster..local
    tll: 5
    fallback: sometimes
"""
BAD_FILE_SAYS = [
    "FILE:4: clusters[0].zone: not a DNS name: 'cluster..local': a label is empty; write one such as cluster.local",
    "FILE:5: clusters[0].tll: unknown setting; did you mean 'ttl'?",
    'FILE:6: clusters[0].fallback: got "sometimes"; write one of never, unsynced, unknown, miss',
]


@pytest.mark.parametrize("command", [["config", "check"], ["config", "show"], ["serve"], ["zone"], ["lookup", WEB]])
def test_errors_of_a_file_name_its_lines(tmp_path: Path, command: Sequence[str]) -> None:
    """Each problem is one line with FILE:LINE, the setting, and what to do; every command says the same."""
    file = tmp_path / "bad.yaml"
    file.write_text(BAD_FILE, encoding="utf-8")
    done = run(*command, "--config", str(file))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.replace(str(file), "FILE").splitlines() == BAD_FILE_SAYS


def test_config_check(tmp_path: Path) -> None:
    """A good file is well; the JSON has the problems as they are printed for people."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(f"http: null\nclusters: [{{source: {{manifests: {EXAMPLE[1]}}}}}]\n", encoding="utf-8")
    bad.write_text(BAD_FILE, encoding="utf-8")
    done = run("config", "check", "--config", str(good))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{good}: well\n", "")
    assert printed("config", "check", "--config", str(good)) == {"ok": True, "problems": []}
    shown = printed("config", "check", "--config", str(bad), code=1)
    assert shown["ok"] is False
    assert [problem.replace(str(bad), "FILE") for problem in shown["problems"]] == BAD_FILE_SAYS
    assert printed("config", "check", "--listen", "x", code=2)["ok"] is False
    missing = run("config", "check", "--config", str(tmp_path / "none.yaml"))
    assert missing.returncode == 1
    assert (
        missing.stderr
        == f"{tmp_path / 'none.yaml'}: no such file; create it, or leave --config out to use the defaults\n"
    )


def test_config_show(tmp_path: Path) -> None:
    """Every setting with its value and where it came from: the file's line, the flag, the default."""
    file = tmp_path / "dnsbridge.yaml"
    file.write_text("http: null\nclusters:\n  - name: dev\n    ttl: 30\n", encoding="utf-8")
    arguments = ["config", "show", "--config", str(file), "--listen", "127.0.0.1:5300", *NOBODY]
    shown = printed(*arguments)
    assert all(list(row) == ["key", "value", "origin"] for row in shown)
    rows = {row["key"]: (row["value"], row["origin"].replace(str(file), "FILE")) for row in shown}
    assert len(rows) == len(shown)
    expected = {
        "listen": (["127.0.0.1:5300"], "flag --listen"),
        "http": (None, "FILE:1"),
        "clusters[0].name": ("dev", "FILE:3"),
        "clusters[0].ttl": (30, "FILE:4"),
        "clusters[0].negative_ttl": (1, "default"),
        "forward[0].upstreams": (["127.0.0.1:9"], "flag --upstream"),
        "tcp.idle_timeout": ("10s", "default"),
    }
    assert {key: rows[key] for key in expected} == expected
    table = run(*arguments).stdout.splitlines()
    assert table[0].split() == ["setting", "value", "origin"]
    assert [line.split()[0] for line in table[1:]] == [row["key"] for row in shown]


def test_config_schema() -> None:
    """A JSON Schema that knows every setting that `config show` knows, and the same as a table."""
    shown = printed("config", "schema")
    assert shown["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert shown["additionalProperties"] is False
    settings = printed("config", "show", *NOBODY)
    for row in settings:
        place = shown
        for step in re.findall(r"\w+|\[\d+\]", row["key"]):
            place = place["items"] if step.startswith("[") else place["properties"][step]
        assert place["description"], row["key"]
    table = run("config", "schema", "--output", "table").stdout.splitlines()
    keys = {line.split()[0].replace("[]", "") for line in table[1:]}
    assert {row["key"].replace("[0]", "") for row in settings} <= keys


DEMO_PORT = 5300


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A host of its own, on which the port of the demo is free."""
    with Namespace("nameserver 127.0.0.2\n") as made:
        yield made


@pytest.mark.needs("dig", "netns")
def test_demo(host: Namespace) -> None:
    """It says three dig commands to try, which give answers, and ends well."""
    command = [*host.prefix, *PYTHON_M, "demo"]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    timer = threading.Timer(DEADLINE, demo.kill)
    timer.start()
    try:
        assert demo.stdout
        lines = [demo.stdout.readline().rstrip("\n") for _ in range(4)]
        answers = []
        for line in lines[1:]:
            # Only names of the example cluster: any other would be forwarded.
            assert re.fullmatch(rf"  dig @127\.0\.0\.1 -p {DEMO_PORT} \S+\.svc\.cluster\.local( SRV)?", line), line
            done = host.run(*line.split(), "+short", "+tries=1", "+timeout=30")
            answers.append(sorted(done.stdout.splitlines()))
        demo.terminate()
        assert demo.wait(DEADLINE) == 0
    finally:
        timer.cancel()
        demo.kill()
        demo.communicate()
    assert lines[0] == "Try, in another terminal:"
    assert answers == [
        ["10.96.12.34"],
        ["10.244.0.50"],
        [f"0 33 9092 kafka-{number}.kafka.data.svc.cluster.local." for number in range(3)],
    ]
