"""Case 8: each office DNS server with exactly what `dnsbridge clients` prints for it, and without a part of that."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.office import BRIDGE, DNS, Office, office
from tests.lab.own_nodes import PODS_4, PORT, WEB_0
from tests.support.links import must
from tests.support.office_dns import FRONTS

pytestmark = pytest.mark.needs("netns", "curl", "dig", "knotd", "ldns-signzone")
PROGRAMS = [pytest.param(program, marks=pytest.mark.needs(program)) for program in FRONTS]
VALIDATING = [pytest.param(name, marks=pytest.mark.needs(name)) for name, front in FRONTS.items() if front.validation]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The office."""
    with office(tmp_path_factory.mktemp("office")) as made:
        yield made


def is_well(place: Office) -> bool:
    """Whether the name leads to its pod from the machine, and every link holds; that no dnsbridge is here is well."""
    assert (place.lab.resolved(WEB_0), place.lab.fetched(WEB_0, PORT)) == (PODS_4[0], "web-0")
    for options in ([], ["--resolver", DNS]):
        found = {name: each["state"] for name, each in place.lab.links(WEB_0, *options).items()}
        assert found.pop("server") == "unknown"
        assert set(found.values()) == {"ok"}, found
    return True


@pytest.mark.parametrize("program", PROGRAMS)
def test_as_it_is_printed(place: Office, program: str, tmp_path: Path) -> None:
    """A name resolves by way of the office server, its pod answers, and every link holds."""
    with place.serving(program, place.printed(program), tmp_path / "office"):
        assert is_well(place)


def is_named(place: Office, program: str, said: str, cause: str, folder: Path) -> None:
    """The doctor names the resolver alone, with this cause, and mends it by what `dnsbridge clients` prints."""
    with place.serving(program, said, folder / "broken"):
        assert place.lab.fetched(WEB_0, PORT) == ""
        for options in ([], ["--resolver", DNS]):
            found = place.lab.links(WEB_0, *options)
            assert {name for name, each in found.items() if each["state"] == "failed"} == {"resolver"}
            assert found["resolver"]["cause"] == cause
            assert "dnsbridge clients" in found["resolver"]["mend"]
    with place.serving(program, place.printed(program), folder / "mended"):
        assert is_well(place)


@pytest.mark.parametrize("program", PROGRAMS)
def test_not_forwarded(place: Office, program: str, tmp_path: Path) -> None:
    """It asks the root of all names, where there is no `.local`."""
    is_named(place, program, "", "it does not forward the name to dnsbridge", tmp_path)


@pytest.mark.parametrize("program", PROGRAMS)
def test_rebinding_protection(place: Office, program: str, tmp_path: Path) -> None:
    """The printed text without the exception."""
    said, count = re.subn(FRONTS[program].rebinding, "", place.printed(program))
    assert count == 1
    cause = "it strips private addresses from answers (protection against DNS rebinding)"
    is_named(place, program, said, cause, tmp_path)


@pytest.mark.parametrize("program", VALIDATING)
def test_validation(place: Office, program: str, tmp_path: Path) -> None:
    """The printed text without the exception: the parent is signed, and says that there is no such zone."""
    said, count = re.subn(FRONTS[program].validation, "", place.printed(program))
    assert count
    is_named(place, program, said, "it validates with DNSSEC, and the clusters' zones are not signed", tmp_path)


# With validation a name is not there either where its parent is not, by proof (RFC 8020, RFC 8198).
CONTROL = """server:
    module-config: "iterator"
remote-control:
    control-enable: yes
    control-use-cert: no
    control-interface: {0}/control
"""


@pytest.mark.needs("unbound", "unbound-control")
def test_a_negative_cache(place: Office, tmp_path: Path) -> None:
    """It was asked for the name before the zone was forwarded there: the old answer stays, until it is flushed."""
    folder = tmp_path / "office"
    said = place.printed("unbound").partition("forward-zone:")[0]
    control = ["unbound-control", "-c", str(folder / "config")]
    with place.serving("unbound", said, folder, CONTROL.format(folder)):
        assert list(place.lab.broken(WEB_0)) == ["resolver"]
        must(place.dns, *control, "forward_add", "+i", "cluster.local", BRIDGE)
        found = place.lab.links(WEB_0)
        assert [name for name, each in found.items() if each["state"] == "failed"] == ["resolver"]
        assert found["resolver"]["cause"] == (
            f"it has the zone, and remembers from before that there was no {WEB_0} (negative cache, RFC 2308)"
        )
        assert found["resolver"]["mend"].startswith("flush its cache")
        must(place.dns, *control, "flush_zone", ".")
        assert is_well(place)


def test_no_office_server(place: Office) -> None:
    """Nobody answers at the address of resolv.conf."""
    assert place.lab.broken(WEB_0) == {"resolver": "the name server of this host does not answer"}
