"""Each format as text: golden files, what a format cannot carry, empty sets, hostile names."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from msgspec import structs

from dnsbridge.config.routes import ExportFormat
from dnsbridge.routes.exports import FORMATS, About, Exported, Refused, export
from dnsbridge.routes.model import Severity
from tests.routes.exports.sets import ABOUT, MIXED, route

GOLDEN = Path(__file__).parent / "golden"


def about_for(name: str, about: About = ABOUT) -> About:
    """The interface only where it is needed."""
    return about if FORMATS[name].needs_interface else structs.replace(about, interface="")


def text(name: str, *routes: str, about: About = ABOUT) -> list[str]:
    """The lines of routes given as `PREFIX WAY...`, without comments and empty lines."""
    made = export(name, [route(*each.split()) for each in routes], about_for(name, about))
    assert isinstance(made, Exported)
    comment = FORMATS[name].comment
    return [line for line in made.text.splitlines() if line and not (comment and line.startswith(comment))]


def test_every_format_of_the_settings_is_there() -> None:
    """The table has the formats that the settings allow, in their order."""
    assert tuple(FORMATS) == get_args(ExportFormat)


@pytest.mark.parametrize("name", FORMATS)
def test_golden(name: str) -> None:
    """The set with everything in it, byte for byte."""
    made = export(name, MIXED, about_for(name))
    assert isinstance(made, Exported)
    assert made.text == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


NOTED = {
    "iproute2": "",
    "route-add": "WWW several next hops; W without a device",
    "windows": "EE its device is not there; WWW several next hops",
    "netplan": "WWW several next hops",
    "networkd": "",
    "openvpn": "",
    "wireguard": "",
    "dhcp-hex": "WWWW IPv4; E its device is not there; WW several next hops",
    "bird": "",
    "frr": "W weights",
    "junos": "EE its device is not there; W weights",
    "json": "",
}


@pytest.mark.parametrize(("name", "want"), NOTED.items())
def test_what_a_format_cannot_carry_is_said(name: str, want: str) -> None:
    """One note for each thing that it lacks: a W for each prefix that works less well, an E for each that is lost."""
    made = export(name, MIXED, about_for(name))
    assert isinstance(made, Exported)
    expected = [each.partition(" ") for each in want.split("; ")] if want else []
    assert len(made.notes) == len(expected)
    for note, (letters, _, words) in zip(made.notes, expected, strict=True):
        assert words in note.text
        assert note.severity is {"W": Severity.WARNING, "E": Severity.ERROR}[letters[0]]
        more = re.search(r" and (\d+) more", note.subject)
        assert note.subject.count("/") + (int(more[1]) if more else 0) == len(letters)
        if FORMATS[name].comment:
            assert str(note).split(":")[-1] in made.text


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_set(name: str) -> None:
    """An empty set is a text that does nothing; a comment says that it is meant."""
    made = export(name, (), About(interface="eth0"))
    assert isinstance(made, Exported)
    assert made.notes == ()
    rest = [line for line in made.text.splitlines() if not (FORMATS[name].comment and line[0] in "#!r")]
    if FORMATS[name].comment:
        assert "no prefixes" in made.text
    assert "\n".join(rest) == {
        "netplan": "network:\n  version: 2",
        "dhcp-kea": '{\n  "option-data": []\n}',
        "json": "[]",
    }.get(name, "")


HOSTILE = "x\"\n\r\x0b\x85\u2028;reboot $(reboot) `reboot` '%PATH%^&|\\"


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_names_of_clusters_and_zones(name: str) -> None:
    """No name gets out of a comment or a string: the lines are those of the same set with good names."""
    plain = [structs.replace(each, cluster="", origin="") for each in MIXED]
    named = [structs.replace(each, cluster=HOSTILE, origin=HOSTILE) for each in MIXED]
    want = export(name, plain, about_for(name))
    made = export(name, named, about_for(name, structs.replace(ABOUT, zones=(*ABOUT.zones, HOSTILE, "a b", ""))))
    assert isinstance(want, Exported)
    assert isinstance(made, Exported)
    if name == "json":
        got = json.loads(made.text)
        assert {each["cluster"] for each in got} == {each["origin"] for each in got} == {HOSTILE}
        return
    comment = FORMATS[name].comment
    lines = [each for each in re.split(r"[\n\r\v\x85\u2028]", made.text) if not (comment and each.startswith(comment))]
    assert lines == [each for each in want.text.split("\n") if not (comment and each.startswith(comment))]
    assert not set('$`%&|^\\"') & set(
        "".join(each for each in made.text.split("\n") if each.startswith(comment or "\0"))
    )
    assert sum("no name of a zone" in note.text for note in made.notes) == 3


@pytest.mark.parametrize("device", [HOSTILE, "eth0;x", "eth0 up", "-hh", "a/b", "sixteencharacter", "\u00e9th0"])
@pytest.mark.parametrize("name", FORMATS)
def test_hostile_names_of_devices(name: str, device: str) -> None:
    """A device whose name is no plain word is in no text; its next hop is left out with an error."""
    hops = route("10.1.0.0/16", "10.0.0.1%eth0", "10.0.0.2%eth0").next_hops
    bad = structs.replace(
        route("10.1.0.0/16", "10.0.0.1"), next_hops=(hops[0], structs.replace(hops[1], device=device))
    )
    alone = structs.replace(
        bad,
        prefix=route("10.2.0.0/16", "10.0.0.1").prefix,
        next_hops=(structs.replace(hops[1], address=None, device=device),),
    )
    made = export(name, [bad, alone], about_for(name))
    assert isinstance(made, Exported)
    assert device not in made.text
    if name not in ("openvpn", "wireguard"):
        assert "10.2.0.0" not in "".join(
            each for each in made.text.splitlines() if not each.startswith(("#", "rem", "!"))
        )
        assert any(note.severity is Severity.ERROR for note in made.notes)


@pytest.mark.parametrize(
    ("name", "interface", "want"),
    [
        ("netplan", "", "--interface: netplan needs an interface to put the routes on; name it"),
        ("networkd", "", "--interface: networkd needs an interface to put the routes on; name it"),
        ("nmcli", "", "--interface: nmcli needs a connection to put the routes on; name it"),
        ("netplan", "a\nb", r"--interface: 'a\nb' is no name of an interface"),
        ("iproute2", "eth0;reboot", "--interface: 'eth0;reboot' is no name of an interface"),
        ("nmcli", "-x", "--interface: '-x' is no name of a connection"),
        ("nmcli", "a\nreboot", r"--interface: 'a\nreboot' is no name of a connection"),
        ("powershell", "a\u2028b", r"--interface: 'a\u2028b' is no name of an adapter"),
    ],
)
def test_interfaces_that_are_refused(name: str, interface: str, want: str) -> None:
    """What a format needs and has not, or what cannot be an interface, is one line."""
    assert export(name, MIXED, About(interface=interface)) == Refused(want)


def test_free_names_are_quoted() -> None:
    """Connections and adapters have any name."""
    about = About(interface='Bob\'s \u2019 "net" $(x)')
    assert text("nmcli", "10.1.0.0/16 10.0.0.1", about=about)[0] == (
        "nmcli connection modify 'Bob'\"'\"'s \u2019 \"net\" $(x)' +ipv4.routes '10.1.0.0/16 10.0.0.1'"
    )
    made = export("powershell", [route("10.1.0.0/16", "10.0.0.1")], about)
    assert isinstance(made, Exported)
    assert made.text.endswith(
        "{ New-NetRoute -DestinationPrefix '10.1.0.0/16' -NextHop '10.0.0.1' "
        "-InterfaceAlias 'Bob''s \u2019\u2019 \"net\" $(x)' | Out-Null }\n"
    )


CASES = [
    ("route-add", "10.1.2.3/32 %tun0", "route add -host 10.1.2.3 dev tun0"),
    ("macos", "10.1.2.3/32 %en0", "route -n add -host 10.1.2.3 -interface en0"),
    (
        "networkd",
        "10.1.0.0/16 10.0.0.1*3 10.0.0.2%eth0",
        "[Route]|Destination=10.1.0.0/16|MultiPathRoute=10.0.0.1 3|MultiPathRoute=10.0.0.2@eth0 1",
    ),
    ("networkd", "10.1.0.0/16 10.0.0.1%eth1", ""),
    (
        "nmcli",
        "10.1.0.0/16 10.0.0.1%eth1",
        "nmcli connection modify eth0 +ipv4.routes '10.1.0.0/16 10.0.0.1'|nmcli connection up eth0",
    ),
    ("frr", "10.1.0.0/16 %eth0 10.0.0.2", "ip route 10.1.0.0/16 eth0|ip route 10.1.0.0/16 10.0.0.2"),
    (
        "bird",
        "fd00::/64 fe80::1%eth0.5 %eth1*2",
        "protocol static dnsbridge6 {|  ipv6;|  route fd00::/64 via fe80::1%'eth0.5' weight 1 via \"eth1\" weight 2;|}",
    ),
    ("powershell", "10.1.0.0/16 %eth0", ""),
    ("ios", "fd00::/64 fe80::1%eth0 fd01::1", "ipv6 route fd00::/64 fd01::1"),
]


@pytest.mark.parametrize(("name", "wanted", "lines"), CASES)
def test_single_lines(name: str, wanted: str, lines: str) -> None:
    """What the golden set does not have."""
    assert "|".join(text(name, wanted)) == lines


def test_notes_are_bounded() -> None:
    """However many routes lose a next hop, a note names three."""
    routes = [route(f"10.{high}.{low}.0/24", "10.0.0.1", "10.0.0.2") for high in range(8) for low in range(250)]
    made = export("route-add", routes)
    assert isinstance(made, Exported)
    assert [note.subject for note in made.notes] == ["10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24 and 1,997 more"]


def test_yaml_of_netplan() -> None:
    """netplan's document, read by a YAML parser."""
    made = export("netplan", MIXED, ABOUT)
    assert isinstance(made, Exported)
    ethernets = yaml.safe_load(made.text)["network"]["ethernets"]
    assert [each["to"] for each in ethernets["eth0"]["routes"]] == [str(each.prefix) for each in MIXED]
