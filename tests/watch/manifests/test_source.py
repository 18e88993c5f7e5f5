"""The manifest source: what is read, what is followed, and what a broken or vanishing file leaves in force."""

import asyncio
import itertools
import json
import logging
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.objects import Key, Service
from dnsbridge.watch.manifests import file_stamps
from dnsbridge.watch.manifests.file import Broken, FileObjects, read_file
from dnsbridge.watch.manifests.source import ManifestError, ManifestSource
from tests.support.waiting import until


def service(name: str, address: str = "10.96.0.1") -> str:
    """A service as YAML."""
    return (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{clusterIP: {address}}}\n"
    )


def names(source: ManifestSource) -> list[str]:
    """The names of what is held."""
    return sorted(key.name for key in source.objects)


def address(source: ManifestSource, name: str) -> bytes:
    """The last octet of a service's address."""
    held = source.objects[Key("Service", "shop", name)]
    assert isinstance(held, Service)
    return held.cluster_ips[0][3:]


def follow(source: ManifestSource, story: Callable[[], Awaitable[None]]) -> None:
    """Follows the source while the story is told."""

    async def run() -> None:
        task = asyncio.create_task(source.follow())
        try:
            await story()
            assert not task.done()
        finally:
            task.cancel()

    asyncio.run(run())


async def looks(source: ManifestSource, count: int = 3) -> None:
    """Waits until the path has been looked at a few times more."""
    for _ in range(count):
        before = source.last_read_at
        await until(lambda before=before: source.last_read_at > before)  # type: ignore[misc]


@pytest.fixture
def told() -> list[Change]:
    """The changes that were handed over."""
    return []


@pytest.fixture
def source(tmp_path: Path, told: list[Change]) -> ManifestSource:
    """A source over an empty folder."""
    return ManifestSource(tmp_path, told.extend)


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


BROKEN: list[tuple[str, bytes, int, str]] = [
    ("a.yaml", b"a: 1\nb: c: d\n", 2, "mapping values are not allowed in this context"),
    ("a.yaml", b"a: 1\nb: 2\na: 3\n", 3, "the key 'a' comes twice in one mapping"),
    ("a.yaml", b"a: 1\nb: \xff\n", 2, "is not UTF-8"),
    ("a.yaml", b"a: 1\n\nb: \0\n", 3, "holds a NUL octet"),
    ("a.yaml", b"[" * 100_000, 1, "nested over 100 deep"),
    ("a.yaml", b"- " * 100_000, 1, "nested over 100 deep"),
    ("a.yaml", b"a: &a [*a]", 1, "nested over 100 deep, or within itself"),
    ("a.yaml", b"a: 1\nb: " + b"9" * 5000, 2, "a number of over 40 digits"),
    ("a.yaml", b"b: 1" + b":1" * 50_000, 1, "a number of over 40 digits"),
    ("a.yaml", b"? [a]\n: b", 1, "a key of a mapping is no text"),
    ("a.yaml", b"!!int ''", 1, "is no YAML: string index out of range"),
    ("a.json", b'{\n"a": }', 2, "is no JSON: Expecting value"),
    ("a.json", b'{"a": 1, "a": 2}', 1, "the key 'a' comes twice in one mapping"),
    ("a.json", b"[" * 100_000, 1, "nested too deep"),
]


@pytest.mark.parametrize(("name", "content", "line", "problem"), BROKEN)
def test_broken(name: str, content: bytes, line: int, problem: str) -> None:
    """A file that does not parse says on which line and why, and raises nothing."""
    assert read_file(Path(name), content) == Broken(line, problem)


@pytest.mark.parametrize("layer", ["[{}]", "{{<<: [{}]}}"])
def test_alias_bomb(layer: str) -> None:
    """Aliases that stand for billions of values are refused, in sequences and in merge keys, before they are built."""
    lines = ["a0: &a0 {x: y}"]
    lines += [f"a{n}: &a{n} {layer.format(','.join([f'*a{n - 1}'] * 9))}" for n in range(1, 12)]
    outcome = read_file(Path("bomb.yaml"), "\n".join(lines).encode())
    assert isinstance(outcome, Broken)
    assert outcome.problem == "aliases stand for over 100000 values"


def test_harmless() -> None:
    """What YAML 1.1 makes of plain words breaks no file: a date stays text, `on` is named where it does not fit."""
    text = "a: 2024-13-45\nb: =\nkind: X\napiVersion: v1\n---\n---\n" + service("on")
    outcome = read_file(Path("a.yaml"), text.encode())
    assert isinstance(outcome, FileObjects)
    assert [(problem.line, problem.text) for problem in outcome.problems] == [
        (7, "Service shop/(unnamed): metadata.name: expected a string, got a boolean")
    ]


def test_lines_in_lists() -> None:
    """A problem within a list is at the line of its item; JSON names the item."""
    items = [{"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}} for name in ("a", "b")]
    text = "kind: List\napiVersion: v1\nitems:\n" + "".join(f"- {json.dumps(item)}\n" for item in items)
    outcome = read_file(Path("a.yaml"), text.encode())
    assert isinstance(outcome, FileObjects)
    assert [problem.line for problem in outcome.problems] == [4, 5]
    listed = json.dumps({"kind": "List", "apiVersion": "v1", "items": items})
    outcome = read_file(Path("a.json"), f"{{}}\n\n{listed}".encode())
    assert isinstance(outcome, FileObjects)
    assert [problem.line for problem in outcome.problems] == [1, 3, 3]
    assert outcome.problems[2].text == "item 2: Service default/b: spec: expected, but missing"


def test_lines_of_merged_lists() -> None:
    """Items that come through a merge key, beside others, are no trouble for the lines of problems."""
    text = "x: &x {items: [1, 2]}\n<<: *x\nkind: List\napiVersion: v1\nitems:\n- 3\n"
    outcome = read_file(Path("a.yaml"), text.encode())
    assert isinstance(outcome, FileObjects)
    assert [problem.line for problem in outcome.problems] == [6]
    outcome = read_file(Path("a.yaml"), text.replace("items:\n- 3\n", "").encode())
    assert isinstance(outcome, FileObjects)
    assert [problem.line for problem in outcome.problems] == [1, 1]


def test_load_folder(tmp_path: Path, source: ManifestSource, told: list[Change]) -> None:
    """A folder is read with all below it, each document of each file, and hidden and other files are skipped."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.yaml").write_text(service("one") + "---\n" + service("two"))
    (tmp_path / "deep" / "er" / "b.yml").write_text("\ufeff" + service("three"))
    document = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "four"}}
    (tmp_path / "deep" / "c.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": [document]}))
    (tmp_path / ".hidden" / "d.yaml").write_text(service("five"))
    (tmp_path / "e.txt").write_text(service("six"))
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    source.load()
    assert names(source) == ["four", "one", "three", "two"]
    assert [type(change) for change in told] == [Put] * 4
    assert source.synced
    assert source.last_read_at > 0


@pytest.mark.parametrize("kind", ["missing", "fifo"])
def test_load_error(tmp_path: Path, kind: str) -> None:
    """A path that is not there, or is neither file nor folder, is one error of one line."""
    path = tmp_path / "x.yaml"
    if kind == "fifo":
        os.mkfifo(path)
    expected = "no such file or directory" if kind == "missing" else "is neither a file nor a folder"
    with pytest.raises(ManifestError) as caught:
        ManifestSource(path, lambda changes: None).load()
    assert str(caught.value) == f"{path}: {expected}; name a file or folder of Kubernetes objects"


def test_never_good(tmp_path: Path, source: ManifestSource, caplog: pytest.LogCaptureFixture) -> None:
    """As long as no file has been read well, the source has not synced; it does when one is repaired."""
    path = tmp_path / "a.yaml"
    path.write_text("a: [")
    source.load()
    assert not source.synced
    assert f"{path}:1: did not find expected node content; it is left out" in caplog.text

    async def story() -> None:
        path.write_text(service("one"))
        await until(lambda: source.synced)
        assert names(source) == ["one"]

    follow(source, story)


def test_still_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file without a single octet may be one that is just written: it is no cluster without objects, and said."""
    path = tmp_path / "cluster.yaml"
    path.touch()
    source = ManifestSource(path, lambda _: None)
    source.load()
    assert not source.synced
    assert f"{path}: is empty so far; put Kubernetes objects into it" in caplog.text


def test_followed(tmp_path: Path, source: ManifestSource, told: list[Change]) -> None:
    """A change of a file is followed, and so are a new file and a removed one."""
    path = tmp_path / "a.yaml"
    path.write_text(service("one"))
    source.load()

    async def story() -> None:
        path.write_text(service("one", "10.96.0.2"))
        await until(lambda: address(source, "one") == b"\x02")
        (tmp_path / "b.yaml").write_text(service("two"))
        await until(lambda: "two" in names(source))
        path.unlink()
        await until(lambda: names(source) == ["two"])

    follow(source, story)
    assert told[-1] == Gone(Key("Service", "shop", "one"))
    assert len(told) == 4


def test_broken_keeps_last_good(tmp_path: Path, source: ManifestSource, caplog: pytest.LogCaptureFixture) -> None:
    """A file that breaks leaves its objects in force with one error, and counts again when it is repaired."""
    path = tmp_path / "a.yaml"
    path.write_text(service("one"))
    source.load()

    async def story() -> None:
        path.write_text(service("two") + "a: [\n")
        await until(lambda: source.counts.broken_files == 1)
        await looks(source)
        assert names(source) == ["one"]
        path.write_text(service("three"))
        await until(lambda: names(source) == ["three"])

    follow(source, story)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [f"{path}:5: did not find expected node content; the last good state stays in force"]


def test_invalid_keeps_last_good(tmp_path: Path, source: ManifestSource, caplog: pytest.LogCaptureFixture) -> None:
    """An object that becomes invalid keeps its last good version; the rest of its file is taken."""
    path = tmp_path / "a.yaml"
    path.write_text(service("one") + "---\n" + service("two"))
    source.load()

    async def story() -> None:
        path.write_text(service("one", "10.96.0.2") + "---\n" + service("two", "x") + "---\n" + service("new", "x"))
        await until(lambda: address(source, "one") == b"\x02")
        assert address(source, "two") == b"\x01"
        assert names(source) == ["one", "two"]

    follow(source, story)
    assert source.counts.invalid_objects == 2
    assert f"{path}:6: Service shop/two: spec.clusterIP: expected an IP address, got x" in caplog.messages


FLAWS = """apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: shop}
  spec:
    clusterIP: 10.96.0.1
    ports:
    - name: http
      port: 80
    - name: metrics
      port: 70000
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata:
    name: web-abc12
    namespace: shop
    labels: {kubernetes.io/service-name: web}
  addressType: IPv4
  endpoints:
  - addresses:
    - 10.0.0.1
  - addresses: [10.0.0.2]
    hostname: test.hostname
  -
"""


def test_flaws(tmp_path: Path, source: ManifestSource, caplog: pytest.LogCaptureFixture) -> None:
    """A part that is left out is said with its own line, once, and counted; what stays wrong is not said again."""
    path = tmp_path / "a.yaml"
    path.write_text(FLAWS)
    source.load()
    label = "expected a DNS label of a-z, 0-9 and `-`, at most 63 octets, got test.hostname"
    expected = [
        f"{path}:13: Service shop/web: spec.ports[1].port: expected a number from 1 to 65535, got 70000; "
        "only this is left out",
        f"{path}:25: EndpointSlice shop/web-abc12: endpoints[1].hostname: {label}; only this is left out",
        f"{path}:26: EndpointSlice shop/web-abc12: endpoints[2]: expected a mapping, got null; only this is left out",
    ]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == expected
    assert names(source) == ["web", "web-abc12"]
    assert (source.counts.invalid_parts, source.counts.invalid_objects) == (3, 0)

    async def story() -> None:
        path.write_text("# All lines move.\n" + FLAWS + "---\n" + service("more"))
        await until(lambda: "more" in names(source))

    follow(source, story)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == expected
    assert source.counts.invalid_parts == 6


def test_thousands_of_flaws(tmp_path: Path, source: ManifestSource, caplog: pytest.LogCaptureFixture) -> None:
    """Of very many parts that are left out the first are said, the others are a number, and all else is taken."""
    ports = "ports: [{port: 0}, {port: 80}]"
    items = "".join(
        f"- {{apiVersion: v1, kind: Service, metadata: {{name: s{number}}}, spec: {{clusterIP: 10.96.0.1, {ports}}}}}\n"
        for number in range(2000)
    )
    (tmp_path / "a.yaml").write_text(f"apiVersion: v1\nkind: List\nitems:\n{items}")
    source.load()
    assert len(source.objects) == source.counts.invalid_parts == 2000
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 21
    assert warnings[1].startswith(f"{tmp_path / 'a.yaml'}:5: Service default/s1: spec.ports[0].port: ")
    assert warnings[-1] == f"{tmp_path / 'a.yaml'}: and 1980 more parts that are left out"


def test_flaws_in_json(tmp_path: Path, source: ManifestSource, caplog: pytest.LogCaptureFixture) -> None:
    """In JSON, whose lines are not known, the item is named."""
    item = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}
    items = [item | {"spec": {"clusterIP": "10.96.0.1", "externalIPs": ["x"]}}, {**item, "spec": {}}]
    (tmp_path / "a.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    source.load()
    assert (
        f"{tmp_path / 'a.json'}:1: item 1: Service shop/web: spec.externalIPs[0]: expected an IP address, got x; "
        "only this is left out"
    ) in caplog.messages


def test_empty_for_a_moment(tmp_path: Path, source: ManifestSource, told: list[Change]) -> None:
    """A file that is empty or away in the middle of a save takes nothing away; one that stays empty does."""
    path = tmp_path / "a.yaml"
    path.write_text(service("one"))
    source.load()

    async def story() -> None:
        path.write_bytes(b"")
        before = source.last_read_at
        await until(lambda: source.last_read_at > before)
        path.write_text(service("one"))
        await looks(source)
        assert len(told) == 1
        path.write_bytes(b"")
        await until(lambda: names(source) == [])

    follow(source, story)


def test_never_resting(tmp_path: Path, source: ManifestSource) -> None:
    """A file that is written anew all the time is followed all the same."""
    path = tmp_path / "a.yaml"
    path.write_text(service("one"))
    source.load()

    async def story() -> None:
        numbers = itertools.cycle(range(2, 200))

        def written_and_followed() -> bool:
            (tmp_path / "new").write_text(service("one", f"10.96.0.{next(numbers)}"))
            (tmp_path / "new").rename(path)
            return address(source, "one") != b"\x01"

        await until(written_and_followed)

    follow(source, story)


def test_folder_gone_and_back(tmp_path: Path, told: list[Change], caplog: pytest.LogCaptureFixture) -> None:
    """A folder that is gone leaves all in force with one error and no sign of life; when it is back all goes on."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(service("one"))
    source = ManifestSource(folder, told.extend)
    source.load()

    async def story() -> None:
        shutil.rmtree(folder)
        await until(lambda: source.counts.failed_looks >= 3)
        assert names(source) == ["one"]
        stopped = source.last_read_at
        failed = source.counts.failed_looks
        await until(lambda: source.counts.failed_looks > failed)
        assert source.last_read_at == stopped
        folder.mkdir()
        (folder / "a.yaml").write_text(service("two"))
        await until(lambda: names(source) == ["two"])

    follow(source, story)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [f"{folder}: no such file or directory; the last good state stays in force"]


def test_config_map(tmp_path: Path, source: ManifestSource, told: list[Change]) -> None:
    """A mounted ConfigMap changes by the swap of a hidden symbolic link, and nothing is missing in between."""
    for version, target in (("..v1", "10.96.0.1"), ("..v2", "10.96.0.2")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(service("one", target))
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    source.load()

    async def story() -> None:
        (tmp_path / "..tmp").symlink_to("..v2")
        (tmp_path / "..tmp").rename(tmp_path / "..data")
        await until(lambda: address(source, "one") == b"\x02")

    follow(source, story)
    assert [type(change) for change in told] == [Put, Put]


def test_two_files(tmp_path: Path, source: ManifestSource, caplog: pytest.LogCaptureFixture) -> None:
    """Of an object in two files the later path's is taken, with one warning; the other one when that file goes."""
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(service("one"))
    second.write_text(service("one", "10.96.0.2"))
    source.load()
    assert address(source, "one") == b"\x02"

    async def story() -> None:
        first.write_text(service("one", "10.96.0.3") + "---\n" + service("two"))
        await until(lambda: names(source) == ["one", "two"])
        second.unlink()
        await until(lambda: address(source, "one") == b"\x03")

    follow(source, story)
    expected = f"Service shop/one: in {first} and in {second}; the latter is taken"
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [expected]


def test_over_bound(
    tmp_path: Path, source: ManifestSource, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files over the bound are left out, with one error and a count."""
    monkeypatch.setattr(file_stamps, "MAX_FILES", 2)
    for name in ("c", "a", "b"):
        (tmp_path / f"{name}.yaml").write_text(service(name))
    source.load()
    assert names(source) == ["a", "b"]
    assert source.counts.looks_over_bound == 1
    assert "the rest is not read" in caplog.text


def test_consumer_raises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error in whoever is told does not end the following."""
    path = tmp_path / "a.yaml"
    path.write_text(service("one"))
    calls: list[int] = []

    def fail_once(changes: list[Change]) -> None:
        calls.append(len(changes))
        if len(calls) == 2:
            raise KeyError("x")

    source = ManifestSource(path, fail_once)
    source.load()

    async def story() -> None:
        path.write_text(service("two"))
        await until(lambda: len(calls) == 2)
        path.write_text(service("three"))
        await until(lambda: len(calls) == 3)

    follow(source, story)
    assert "internal error: KeyError: 'x'" in caplog.text
