"""What is between a program of the machine and the office DNS server: each trap alone, named by the doctor, and mended.

The office server is right all the while. systemd-resolved, nss-mdns and avahi are Debian's own, with files in /etc and
/run that only the machine sees.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.office import DNS, RESOLV_CONF, Office, office
from tests.lab.own_nodes import PORT, WEB_0
from tests.support import avahi, resolved
from tests.support.avahi import Avahi
from tests.support.daemon import Daemon
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.office_dns import FRONTS
from tests.support.own_files import OwnFiles
from tests.support.resolved import Resolved

pytestmark = pytest.mark.needs("netns", "curl", "dig", "knotd", "ldns-signzone", "unbound")
WEB = WEB_0.removeprefix("web-0.")
STUB = "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n"
EVERYTHING = """server:
    local-zone: "corp.example." redirect
    local-data: "corp.example. A 192.0.2.80"
"""
"""All names below the office's domain have an address."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Office]:
    """The office, with a server that forwards."""
    (tmp_path / "lab").mkdir()
    with (
        office(tmp_path / "lab") as made,
        made.serving("unbound", made.printed("unbound"), tmp_path / "dns", EVERYTHING),
    ):
        yield made


def named(place: Office, link: str, name: str = WEB_0) -> tuple[str, str]:
    """Cause and mend of the one link that is broken."""
    assert place.lab.fetched(name, PORT) == ""
    found = place.lab.links(name)
    assert [each for each in found if found[each]["state"] == "failed"] == [link], found
    return found[link]["cause"], found[link]["mend"]


def is_well(place: Office, name: str = WEB_0) -> bool:
    """Whether a pod is reached, and every link holds; that no dnsbridge is here is well."""
    assert place.lab.fetched(name, PORT) in ("web-0", "web-1")
    found = {link: each["state"] for link, each in place.lab.links(name).items()}
    assert found.pop("server") == "unknown"
    assert set(found.values()) == {"ok"}, found
    return True


def test_a_search_list(place: Office) -> None:
    """By `ndots:5` the office's domain comes before the name itself, and there every name has an address."""
    search = f"{RESOLV_CONF}search corp.example\n"
    place.lab.machine.configure(f"{search}options ndots:5\n")
    cause, mend = named(place, "this host", WEB)
    assert cause == "the search list (corp.example) comes before the name itself (ndots:5 in resolv.conf)"
    option, found, _ = mend.partition(" in /etc/resolv.conf")
    assert found
    place.lab.machine.configure(f"{search}{option}\n")
    assert is_well(place, WEB)


@pytest.mark.needs(*avahi.PARTS)
def test_multicast_dns(place: Office, tmp_path: Path) -> None:
    """nss-mdns is told that all of `.local` is its own, and comes before DNS."""
    files = OwnFiles(place.lab.machine, tmp_path / "files")
    files.write("mdns.allow", ".local\n.local.\n")
    files.write("nsswitch.conf", "hosts: files mdns4 [NOTFOUND=return] dns\n")
    with Avahi(place.lab.machine, files, tmp_path):
        cause, mend = named(place, "this host")
        assert cause == (
            "/etc/nsswitch.conf asks mdns4 before dns, and multicast DNS keeps all names below .local (RFC 6762)"
        )
        assert mend.startswith("in its line hosts put dns before that word")
        files.write("nsswitch.conf", "hosts: files dns mdns4 [NOTFOUND=return]\n")
        assert is_well(place)


@contextmanager
def asks_resolved(place: Office, folder: Path) -> Iterator[Namespace]:
    """The machine, whose programs ask systemd-resolved, which has the office server for the machine's link."""
    machine = place.lab.machine
    machine.configure(STUB)
    with Resolved(machine, OwnFiles(machine, folder / "files"), folder):
        must(machine, "resolvectl", "dns", "eth0", DNS)
        yield machine


def does(machine: Namespace, mend: str) -> None:
    """The command that comes first in what mends."""
    must(machine, *shlex.split(mend.partition(";")[0]))


@pytest.mark.needs(*resolved.PARTS)
def test_resolved_and_local(place: Office, tmp_path: Path) -> None:
    """No domain sends `.local` anywhere."""
    with asks_resolved(place, tmp_path) as machine:
        must(machine, "resolvectl", "domain", "eth0", "corp.example")
        cause, mend = named(place, "resolver")
        assert cause == (
            f"systemd-resolved asks nobody for names below .local (RFC 6762), unless a domain sends them to {DNS}"
        )
        does(machine, mend)
        assert is_well(place)


@pytest.mark.needs("dnsmasq", *resolved.PARTS)
@pytest.mark.parametrize("domain", ["~.", "~local"])
def test_resolved_and_a_vpn(place: Office, domain: str, tmp_path: Path) -> None:
    """A VPN has a domain that takes the name to its own server, which has no such name."""
    config = tmp_path / "vpn.conf"
    config.write_text("no-resolv\nno-hosts\nuser=\nlocal=/local/\n", encoding="utf-8")
    with asks_resolved(place, tmp_path) as machine, Switch() as vpn:
        server = vpn.host("10.8.0.1/24")
        vpn.join(machine, "vpn0", "10.8.0.2/24")
        with Daemon(server, FRONTS["dnsmasq"].command(config), tmp_path / "log") as daemon:
            daemon.wait(lambda: ":53 " in must(server, "ss", "-lnuH"))
            must(machine, "resolvectl", "dns", "vpn0", "10.8.0.1")
            must(machine, "resolvectl", "domain", "vpn0", domain)
            cause, mend = named(place, "resolver")
            assert cause == f"systemd-resolved asks for it on vpn0, because of the domain {domain}, and not {DNS}"
            does(machine, mend)
            assert is_well(place)


@pytest.mark.needs(*resolved.PARTS)
def test_resolved_by_nsswitch(place: Office, tmp_path: Path) -> None:
    """resolv.conf names the office server, but programs ask systemd-resolved, which has read that file too."""
    machine = place.lab.machine
    files = OwnFiles(machine, tmp_path / "files")
    files.write("nsswitch.conf", "hosts: files resolve [!UNAVAIL=return] dns\n")
    with Resolved(machine, files, tmp_path) as daemon:
        cause, mend = named(place, "this host")
        assert cause.startswith("systemd-resolved asks nobody for names below .local (RFC 6762), unless")
        found = re.fullmatch(r"the lines (.*) in /etc/(\S+); then systemctl restart systemd-resolved", mend)
        assert found
        files.write(found[2], found[1].replace(", ", "\n") + "\n")
        daemon.restart()
        assert is_well(place)
