"""A resolv.conf(5) as a source of upstreams: what counts in it, and when a change of it is taken."""

import io
import logging
import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.watch.resolv_conf import MAX_OCTETS, MAX_SERVERS, MOVING_LOOKS, ResolvConf, parse

CONTENTS = [
    # what is special, the file, the addresses
    (
        "as usual",
        "search corp.example\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n",
        "10.0.0.1 10.0.0.2",
    ),
    ("more than spaces", "\t nameserver\t10.0.0.1\n", "10.0.0.1"),
    ("words behind it", "nameserver 10.0.0.1 # the office\n", "10.0.0.1"),
    ("no end of line", "nameserver 10.0.0.1", "10.0.0.1"),
    ("Windows' ends of lines", "nameserver 10.0.0.1\r\nnameserver 10.0.0.2\r\n", "10.0.0.1 10.0.0.2"),
    ("comments", "#nameserver 10.0.0.1\n; nameserver 10.0.0.2\n# nameserver 10.0.0.3\n", ""),
    ("IPv6, and a link's", "nameserver FD00::0:1\nnameserver fe80::1%eth0\n", "fd00::1 fe80::1%eth0"),
    ("IPv4 as IPv6", "nameserver ::ffff:10.0.0.1\n", "10.0.0.1"),
    ("twice", "nameserver 10.0.0.2\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n", "10.0.0.2 10.0.0.1"),
    ("no address", "nameserver dns.corp\nnameserver 10.0.0\nnameserver 10.0.0.1:53\nnameserver\n", ""),
    ("of no host", "nameserver 0.0.0.0\nnameserver ::\n", ""),
    ("another case", "NameServer 10.0.0.1\n", ""),
    ("no text", "\x00\xff\xfenameserver 10.0.0.1\x00\n", ""),
    ("garbage around", "\xff\xfe{]\nnameserver 10.0.0.1\n\x00", "10.0.0.1"),
    ("empty", "", ""),
]


@pytest.mark.parametrize(("content", "wanted"), [case[1:] for case in CONTENTS], ids=[case[0] for case in CONTENTS])
def test_what_counts(content: str, wanted: str) -> None:
    """The addresses of the nameserver lines, in order, each once."""
    assert " ".join(parse(content.encode("latin-1"))) == wanted


LINES = [
    "nameserver 10.0.0.1",
    "nameserver 10.0.0.2   ",
    "  nameserver\t10.0.0.3",
    "nameserver fd00::53",
    "#nameserver 10.0.0.4",
    "; nameserver 10.0.0.5",
    "nameserver",
    "search corp.example nameserver 10.0.0.6",
    "options ndots:5",
    "",
]


@given(st.lists(st.sampled_from(LINES)), st.sampled_from(["\n", "\r\n"]))
def test_same_as_dnspython(lines: list[str], end: str) -> None:
    """dnspython finds the same nameservers in the same order."""
    content = end.join(lines)
    oracle = dns.resolver.Resolver(configure=False)
    try:
        oracle.read_resolv_conf(io.StringIO(content))
    except dns.resolver.NoResolverConfiguration:
        oracle.nameservers = []
    assert parse(content.encode()) == tuple(dict.fromkeys(map(str, oracle.nameservers)))


@given(st.binary())
def test_any_octets(content: bytes) -> None:
    """Whatever the file holds, what is found in it is addresses."""
    for prefix in (b"", b"nameserver "):
        assert all(ip_address(host) for host in parse(prefix + content))


class Watched:
    """A file and who watches it; `said` is what it logs, without the file's name."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture, *hosts: str) -> None:
        caplog.set_level(logging.INFO)
        self.path = folder / "resolv.conf"
        self.selves: set[str] = set()
        self.write(*hosts)
        self.file = ResolvConf(self.path, lambda host: host not in self.selves)
        self.file.look()
        self._caplog = caplog

    def write(self, *hosts: str) -> None:
        """Write the file anew, in place."""
        self.path.write_text("".join(f"nameserver {host}\n" for host in hosts))

    def look(self, times: int = 1) -> str:
        """The hosts after so many looks."""
        for _ in range(times):
            self.file.look()
        return " ".join(self.file.hosts)

    def said(self) -> list[str]:
        """What was logged since the last call."""
        lines = [record.getMessage().replace(f"{self.path}: ", "") for record in self._caplog.records]
        self._caplog.clear()
        return lines


@pytest.fixture
def watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Watched:
    """One that has been looked at once."""
    return Watched(tmp_path, caplog, "10.0.0.1", "10.0.0.2")


def test_a_change_is_taken_when_it_rests(watched: Watched) -> None:
    """Two looks see a new content; one that is in the file for one look only is never taken."""
    assert watched.look() == "10.0.0.1 10.0.0.2"
    watched.write("10.0.0.3")
    assert watched.look() == "10.0.0.1 10.0.0.2"
    assert watched.look() == "10.0.0.3"
    watched.write("10.0.0.4")
    watched.look()
    watched.write("10.0.0.3")
    assert watched.look(3) == "10.0.0.3"
    assert watched.said() == []


def test_a_file_that_never_rests(watched: Watched) -> None:
    """It is taken all the same."""
    seen = []
    for number in range(3 * MOVING_LOOKS):
        watched.write(f"10.0.1.{number}")
        seen.append(watched.look())
    assert set(seen) == {"10.0.0.1 10.0.0.2", *(f"10.0.1.{each}" for each in (3, 7, 11))}


def test_same_size_and_time(watched: Watched) -> None:
    """A file that is told from the old one by nothing but its content is a change."""
    status = watched.path.stat()
    watched.write("10.0.0.1", "10.0.0.9")
    os.utime(watched.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert watched.path.stat().st_mtime_ns == status.st_mtime_ns
    assert watched.look(2) == "10.0.0.1 10.0.0.9"


def away(path: Path) -> None:
    """Nothing in its place."""
    path.unlink()


def folder(path: Path) -> None:
    """A folder in its place."""
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """A pipe that nobody writes to."""
    path.unlink()
    os.mkfifo(path)


def itself(path: Path) -> None:
    """A link to itself."""
    path.unlink()
    path.symlink_to(path)


USELESS: list[tuple[str, Callable[[Path], object], str]] = [
    ("away", away, "no such file or directory"),
    ("a folder", folder, "is a directory"),
    ("a pipe", pipe, "is not a regular file"),
    ("a link to itself", itself, "too many levels of symbolic links"),
    ("empty", lambda path: path.write_text(""), "has no nameserver line with an address"),
    ("garbage", lambda path: path.write_bytes(os.urandom(4096)), "has no nameserver line with an address"),
    ("other lines only", lambda path: path.write_text("search a\n"), "has no nameserver line with an address"),
    (
        "too large",
        lambda path: path.write_text("nameserver 10.0.0.9\n".ljust(MAX_OCTETS + 1)),
        f"has over {MAX_OCTETS} octets, so it is no resolv.conf",
    ),
    ("ourselves", lambda path: path.write_text("nameserver 10.0.0.53\n"), "names no server but this one"),
]


@pytest.mark.parametrize(("spoil", "problem"), [case[1:] for case in USELESS], ids=[case[0] for case in USELESS])
def test_a_file_of_no_use(watched: Watched, spoil: Callable[[Path], object], problem: str) -> None:
    """One that names no server leaves the last ones in force and says so once; it may become of use again."""
    watched.selves = {"10.0.0.53"}
    spoil(watched.path)
    assert watched.look(5) == "10.0.0.1 10.0.0.2"
    assert watched.said() == [f"{problem}; the last servers stay in force: 10.0.0.1, 10.0.0.2"]
    assert watched.file.problem == problem
    if watched.path.is_dir():
        watched.path.rmdir()
    else:
        watched.path.unlink(missing_ok=True)
    watched.look()
    watched.write("10.0.0.1", "10.0.0.2")
    assert watched.look(2) == "10.0.0.1 10.0.0.2"
    assert watched.said() == ["names servers again, the same as before"]
    assert watched.file.problem == ""


def test_never_ourselves(watched: Watched) -> None:
    """What is this server is left out, also when an address moves to this host later; the rest of the file counts."""
    watched.selves = {"10.0.0.1"}
    assert watched.look() == "10.0.0.2"
    watched.selves = {"10.0.0.1", "10.0.0.2"}
    assert watched.look() == ""
    watched.selves = set()
    assert watched.look() == "10.0.0.1 10.0.0.2"


def test_a_file_that_comes_later(tmp_path: Path) -> None:
    """One that is not there at first is of use as soon as it is."""
    path = tmp_path / "resolv.conf"
    file = ResolvConf(path, lambda _: True)
    file.look()
    assert (file.hosts, file.problem) == ((), "no such file or directory")
    path.write_text("nameserver 10.0.0.1\n")
    file.look()
    file.look()
    assert (file.hosts, file.problem) == (("10.0.0.1",), "")


def test_bound(watched: Watched) -> None:
    """Of very many nameservers the first are used, and it is told how many are not."""
    watched.write(*(f"10.0.2.{number}" for number in range(MAX_SERVERS + 5)))
    assert len(watched.look(2).split()) == MAX_SERVERS
    assert watched.file.left_out == 5
