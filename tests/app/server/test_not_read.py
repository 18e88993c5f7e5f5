"""The lines about clusters that have not been read: when they come, and what they name."""

from types import SimpleNamespace
from typing import cast

from msgspec import structs

from dnsbridge.app.feeds import Feed
from dnsbridge.app.server.not_read import LONGEST, NotRead
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.watch.api.connection import ApiAddress
from dnsbridge.watch.api.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from dnsbridge.watch.api.source import ApiSource
from dnsbridge.watch.manifests.source import ManifestSource

SLICES = structs.replace(ENDPOINT_SLICES, older=())
"""Of a server that need not be asked which API it has."""


def cluster(name: str, **problems: str | None) -> tuple[Feed, ApiSource]:
    """A cluster whose resources wait for these problems; None: nothing has happened yet."""
    held: dict[Key, Object] = {}
    source = ApiSource(name, ApiAddress(), (SERVICES, SLICES, NAMESPACES), held, lambda _: None, 60.0)
    for each in source.reflectors:
        each.problem = problems.get(each.resource.plural) or ""
    return cast(Feed, SimpleNamespace(name=name, source=source)), source


def test_when() -> None:
    """After five seconds, then at intervals that double up to a bound; as soon as all has been read, no more."""
    feed, source = cluster("dev")
    not_read = NotRead(100.0)
    said = [second for second in range(5000) if not_read.lines([feed], 100.0 + second)]
    assert said[:5] == [5, 15, 35, 75, 155]
    assert said[-1] - said[-2] == LONGEST
    for each in source.reflectors:
        each.listed = True
    assert not_read.lines([feed], 1e6) == []


def test_what() -> None:
    """Each cluster is a line with the required resources that are missing and their last problem; files are none."""
    first, source = cluster("east", services="HTTP 500: no", namespaces="HTTP 500: no")
    second, _ = cluster("west", endpointslices="HTTP 403: no")
    files = SimpleNamespace(name=("files"), source=object.__new__(ManifestSource))
    assert NotRead(0.0).lines([first, second, cast(Feed, files)], 5.0) == [
        "cluster east: not read yet: services (HTTP 500: no), endpointslices (no answer yet)",
        "cluster west: not read yet: services (no answer yet), endpointslices (HTTP 403: no)",
    ]
    source.reflectors[0].listed = True
    source.reflectors[1].alive_at = 3.0
    assert NotRead(0.0).lines([first], 5.0) == ["cluster east: not read yet: endpointslices (its list is not complete)"]


def test_an_api_that_is_not_chosen() -> None:
    """Endpoints are missing as long as the server has not said which API for them it has."""
    source = ApiSource("dev", ApiAddress(), (SERVICES, ENDPOINT_SLICES), {}, lambda _: None, 60.0)
    dev = cast(Feed, SimpleNamespace(name=("dev"), source=source))
    assert NotRead(0.0).lines([dev], 5.0) == [
        "cluster dev: not read yet: services (no answer yet),"
        " endpointslices (the server has not said yet which API it has)"
    ]
