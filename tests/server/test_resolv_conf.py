"""The program with a resolv.conf as its source of upstreams: Knot DNS on port 53 of loopback, in a namespace.

127.0.0.1:53     the program, with the followed file
127.0.0.2:53     Knot DNS; www.corp.example is 192.0.2.2
127.0.0.3:53     Knot DNS; www.corp.example is 192.0.2.3
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.knot import Knot
from tests.support.namespace import Namespace
from tests.support.program import ROOT, Program, eventually

pytestmark = pytest.mark.needs("netns", "knotd", "dig")

EXAMPLE = {"fallback": "never", "source": {"manifests": str(ROOT / "dnsbridge" / "example")}}
ZONE = "$ORIGIN corp.example.\n$TTL 0\n@ SOA ns hostmaster 1 3600 600 86400 0\n@ NS ns\nns A {0}\nwww A {0}\n"
"""Nothing of it is kept, so each answer says who was asked."""
METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9153/metrics').read().decode())"


def names(*hosts: str) -> str:
    """A resolv.conf that names these servers."""
    return "".join(f"nameserver {host}\n" for host in hosts)


class Office(NamedTuple):
    """What runs."""

    namespace: Namespace
    folder: Path

    def program(self, upstreams: list[str], listen: str = "127.0.0.1:53", zone: str = ".") -> Program:
        """The program in the namespace."""
        settings: dict[str, Any] = {"clusters": [EXAMPLE]}
        settings["forward"] = [{"zone": zone, "upstreams": upstreams}]
        return Program(
            settings=settings,
            upstreams=None,
            listen=[listen],
            options=["--http", "127.0.0.1:9153"],
            command_prefix=self.namespace.prefix,
        )

    def ask(self, name: str = "www.corp.example") -> str:
        """What dig gets: the address, or the status."""
        done = self.namespace.run(
            "dig", "@127.0.0.1", "+tries=1", "+timeout=30", "+noall", "+comments", "+answer", name
        )
        lines = [line.split() for line in done.stdout.splitlines() if line.startswith("www.")]
        status = done.stdout.partition("status: ")[2].partition(",")[0]
        return lines[0][-1] if lines else status


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The namespace with both servers."""
    folder = tmp_path_factory.mktemp("resolv-conf")
    with ExitStack() as running:
        namespace = running.enter_context(Namespace(names("127.0.0.2")))
        made = Office(namespace, folder)
        for last in (2, 3):
            zones = {"corp.example": ZONE.format(f"192.0.2.{last}")}
            address = f"127.0.0.{last}"
            knot = Knot(folder / address, zones, address=address, port=53, command_prefix=namespace.prefix)
            running.enter_context(knot)
            eventually(partial(_is_there, namespace, address))
        yield made


def _is_there(namespace: Namespace, address: str) -> bool:
    done = namespace.run("dig", f"@{address}", "+short", "+tries=1", "+timeout=1", "corp.example", "NS")
    return done.stdout == "ns.corp.example.\n"


def replace(path: Path, text: str) -> None:
    """As resolvconf and systemd-resolved do it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def rewrite(path: Path, text: str) -> None:
    """As an editor may do it, with a moment in which the file is empty."""
    path.write_text(text)


def relink(path: Path, text: str) -> None:
    """A symbolic link to another file."""
    other = path.with_suffix(f".{time.monotonic_ns()}")
    other.write_text(text)
    path.unlink(missing_ok=True)
    path.symlink_to(other)


def unlink(path: Path, _: str) -> None:
    """It is gone."""
    path.unlink()


def garbage(path: Path, _: str) -> None:
    """No text at all."""
    path.write_bytes(os.urandom(5000))


STAYS = "the last servers stay in force: "
Change = Callable[[Path, str], None]
CHANGES: list[tuple[str, Change, str, str, str]] = [
    # what, how, the new content, who answers then, what the log says
    ("replaced", replace, names("127.0.0.3"), "192.0.2.3", "now 127.0.0.3:53 (FILE)"),
    ("rewritten", rewrite, names("127.0.0.2", "127.0.0.3"), "192.0.2.2", "now 127.0.0.2:53, 127.0.0.3:53 (FILE)"),
    ("other order", rewrite, names("127.0.0.3", "127.0.0.2"), "192.0.2.3", "now 127.0.0.3:53, 127.0.0.2:53 (FILE)"),
    ("a link", relink, names("127.0.0.2"), "192.0.2.2", "now 127.0.0.2:53 (FILE)"),
    ("another link", relink, names("127.0.0.3"), "192.0.2.3", "now 127.0.0.3:53 (FILE)"),
    ("away", unlink, "", "192.0.2.3", f"FILE: no such file or directory; {STAYS}127.0.0.3"),
    ("back", rewrite, names("127.0.0.2"), "192.0.2.2", "now 127.0.0.2:53 (FILE)"),
    ("empty", replace, "", "192.0.2.2", f"FILE: has no nameserver line with an address; {STAYS}127.0.0.2"),
    ("the same again", replace, names("127.0.0.2"), "192.0.2.2", "FILE: names servers again, the same as before"),
    ("garbage", garbage, "", "192.0.2.2", f"FILE: has no nameserver line with an address; {STAYS}127.0.0.2"),
    ("ourselves", replace, names("127.0.0.1"), "192.0.2.2", f"FILE: names no server but this one; {STAYS}127.0.0.2"),
    ("also others", replace, names("127.0.0.1", "127.0.0.3"), "192.0.2.3", "now 127.0.0.3:53 (FILE)"),
]


def test_changes_of_the_file(office: Office) -> None:
    """Each change is in force, with one line; what names no server changes nothing."""
    path = office.folder / "resolv.conf"
    path.write_text(names("127.0.0.2"))
    with office.program([str(path)]) as program:
        assert any(line.endswith(f"dnsbridge.yaml:1, {path})") for line in program.log()), program.log()
        assert office.ask() == "192.0.2.2"
        for what, change, text, wanted, said in CHANGES:
            before = len(program.log())
            change(path, text)
            eventually(lambda before=before: len(program.log()) > before, what)  # type: ignore[misc]
            assert office.ask() == wanted, what
            lines = [line.split(None, 2)[2] for line in program.log()[before:]]
            assert [line.removeprefix("forward .: ") for line in lines] == [said.replace("FILE", str(path))], what
        found = office.namespace.run(sys.executable, "-c", METRICS).stdout
        changes = sum(said.startswith("now ") for *_, said in CHANGES)
        assert f'dnsbridge_forward_changes_total{{zone="."}} {changes}.0' in found
        assert 'dnsbridge_upstream_up{upstream="127.0.0.3:53",zone="."} 1.0' in found
        assert 'upstream="127.0.0.2:53"' not in found
        assert f'dnsbridge_resolv_conf_usable{{file="{path}"}} 1.0' in found


def test_the_machines_own(office: Office) -> None:
    """Without upstreams /etc/resolv.conf is the source, and is followed in the same way."""
    office.namespace.configure(names("127.0.0.2"))
    with office.program([]) as program:
        program.wait_for_log(r"forward \.: 127\.0\.0\.2:53 \(discovered: /etc/resolv\.conf\)$")
        assert office.ask() == "192.0.2.2"
        office.namespace.configure(names("127.0.0.1", "127.0.0.3"))
        program.wait_for_log(r"forward \.: now 127\.0\.0\.3:53 \(/etc/resolv\.conf\)$")
        assert office.ask() == "192.0.2.3"
    office.namespace.configure(names("127.0.0.2"))


def test_among_addresses_and_never_twice(office: Office) -> None:
    """A file stands at its place among addresses; what is in both is asked once."""
    path = office.folder / "some.conf"
    path.write_text(names("127.0.0.3", "127.0.0.2"))
    with office.program(["tcp://127.0.0.3", "127.0.0.2", str(path)]) as program:
        program.wait_for_log(r"forward \.: tcp://127\.0\.0\.3:53, 127\.0\.0\.2:53, 127\.0\.0\.3:53 \(")
        assert office.ask() == "192.0.2.3"
        path.write_text(names("127.0.0.2"))
        program.wait_for_log(r"forward \.: now tcp://127\.0\.0\.3:53, 127\.0\.0\.2:53 \(")


@pytest.mark.parametrize("zone", [".", "corp.example"])
def test_a_file_that_comes_later(office: Office, zone: str) -> None:
    """Without a server the zone's names are refused, and not asked elsewhere; with the file they are answered."""
    path = office.folder / f"later-{len(zone)}.conf"
    with office.program([str(path)], zone=zone) as program:
        program.wait_for_log(f"forward {zone}: {path}: no such file or directory; changes of it are followed")
        assert office.ask() == "REFUSED"
        path.write_text(names("127.0.0.3"))
        program.wait_for_log(f"forward {zone}: now 127.0.0.3:53")
        assert office.ask() == "192.0.2.3"


def test_a_wildcard_is_all_of_this_machine() -> None:
    """Listening everywhere, no address of this machine is asked, not even one that comes later."""
    files = names("127.0.0.53", "::1", "192.0.2.99", "0.0.0.0", "192.0.2.53")
    with Namespace(files) as namespace:
        assert namespace.run("ip", "address", "add", "192.0.2.99/32", "dev", "lo").returncode == 0
        program = Program(
            settings={"clusters": [EXAMPLE]},
            upstreams=None,
            listen=["0.0.0.0:53", "[::]:53"],
            command_prefix=namespace.prefix,
        )
        with program:
            program.wait_for_log(r"forward \.: 192\.0\.2\.53:53 \(discovered: /etc/resolv\.conf\)$")
            assert namespace.run("ip", "address", "add", "192.0.2.53/32", "dev", "lo").returncode == 0
            program.wait_for_log(r"forward \.: now no upstream, its names are refused \(/etc/resolv\.conf\)$")
            assert namespace.run("ip", "address", "delete", "192.0.2.99/32", "dev", "lo").returncode == 0
            program.wait_for_log(r"forward \.: now 192\.0\.2\.99:53 \(/etc/resolv\.conf\)$")
