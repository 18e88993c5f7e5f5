"""Texts for other programs, read by those programs: BIRD, FRR, systemd-networkd, netplan."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from dnsbridge.routes.exports import About, Exported, export
from dnsbridge.routes.model import Route
from tests.routes.exports.sets import ABOUT, MIXED
from tests.routes.exports.test_scripts import shown, wanted
from tests.support.bird import Bird
from tests.support.daemon import Daemon, open_folder
from tests.support.frr import Frr
from tests.support.links import Switch
from tests.support.program import eventually
from tests.support.waiting import DEADLINE


def text(name: str, routes: Sequence[Route], about: About = About()) -> str:  # noqa: B008  # frozen
    """The text for routes."""
    made = export(name, routes, about)
    assert isinstance(made, Exported)
    return made.text


@pytest.mark.needs("netns", "ip", "bird", "birdc")
def test_bird_takes_it_over() -> None:
    """BIRD's parser takes the text, and BIRD puts all of it into the kernel, with weights."""
    with Switch() as switch:
        host = switch.host("10.0.0.99/24", "fd00::99/64")
        with Bird(host, text("bird", MIXED)):
            eventually(lambda: shown(host, "proto", "bird") == wanted(MIXED))


@pytest.mark.needs("netns", "ip", "vtysh", "bgpd")
def test_frr_takes_it_over() -> None:
    """FRR takes each line, and puts all of it into the kernel; it knows no weights."""
    want = {prefix: {(*way[:2], 1) for way in ways} for prefix, ways in wanted(MIXED).items()}
    with Switch() as switch:
        host = switch.host("10.0.0.99/24", "fd00::99/64")
        with Frr(host, "\n".join(line for line in text("frr", MIXED).splitlines() if not line.startswith("!"))):
            eventually(lambda: shown(host) == want)


@pytest.mark.needs("vtysh")
@pytest.mark.parametrize("routes", [MIXED, ()])
def test_vtysh_reads_the_file(tmp_path: Path, routes: Sequence[Route]) -> None:
    """The file as it stands, comments and all, is what vtysh's own check takes."""
    (tmp_path / "routes").write_text(text("frr", routes), encoding="utf-8")
    run("vtysh", "--dryrun", "--inputfile", str(tmp_path / "routes"))


NETWORKD = "/lib/systemd/systemd-networkd"
IN_ITS_OWN_FOLDERS = f"""
mount -o remount,ro,bind /sys            # what it takes for a container, where no udev is waited for
mount -t tmpfs tmpfs /run/systemd
mount -t tmpfs tmpfs /etc/systemd/network
mkdir /run/systemd/netif
chown systemd-network:systemd-network /run/systemd/netif
cp -r "$1"/. /etc/systemd/network
exec {NETWORKD}
"""
"""Run by `ip netns exec`, which gives it mounts of its own."""


@pytest.mark.needs("netns", "ip", "networkctl")
def test_networkd_takes_it_over() -> None:
    """A real systemd-networkd with the drop-in puts all of it into the kernel, with weights."""
    with Switch() as switch, open_folder() as folder:
        host = switch.host()
        files = folder / "network"
        (files / "10-eth0.network.d").mkdir(parents=True)
        (files / "10-eth0.network").write_text(
            "[Match]\nName=eth0\n[Network]\nAddress=10.0.0.99/24\nAddress=fd00::99/64\nIPv6AcceptRA=no\n",
            encoding="utf-8",
        )
        (files / "10-eth0.network.d/dnsbridge.conf").write_text(text("networkd", MIXED, ABOUT), encoding="utf-8")
        command = ["env", "SYSTEMD_LOG_TARGET=console", "sh", "-ec", IN_ITS_OWN_FOLDERS, "sh", str(files)]
        daemon = Daemon(host, command, folder / "networkd.log")
        try:

            def there() -> bool:
                daemon.check()
                return shown(host, "proto", "static") == wanted(MIXED)

            eventually(there)
        finally:
            daemon.stop()


@pytest.mark.needs("netplan")
def test_netplan_makes_the_same_of_it(tmp_path: Path) -> None:
    """netplan's own generator makes of it the routes that the export for networkd has, each with its first next hop."""
    folder = tmp_path / "etc" / "netplan"
    folder.mkdir(parents=True)
    file = folder / "dnsbridge.yaml"
    file.write_text(text("netplan", MIXED, ABOUT), encoding="utf-8")
    file.chmod(0o600)
    run("netplan", "generate", "--root-dir", str(tmp_path))
    made = (tmp_path / "run/systemd/network/10-netplan-eth0.network").read_text(encoding="utf-8")
    assert sections(made) == [
        {"Destination": str(route.prefix)}
        | ({"Gateway": str(route.next_hops[0].address)} if route.next_hops[0].address else {"Scope": "link"})
        for route in MIXED
    ]


def sections(network: str) -> list[dict[str, str]]:
    """The sections [Route] of a systemd.network(5)."""
    found: list[dict[str, str]] = []
    for part in network.split("[Route]\n")[1:]:
        found.append(dict(line.split("=", 1) for line in part.split("\n\n")[0].splitlines() if "=" in line))
    return found


def run(*command: str) -> None:
    """Run a program that says nothing when all is well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
