"""What the tests of flaws share: objects as plain data, the words for what is wrong, and both ways of decoding."""

from ipaddress import ip_address
from typing import Any

import msgspec

from dnsbridge.cluster.decode import Flawed, Invalid, decode
from dnsbridge.cluster.objects import Object
from dnsbridge.cluster.raw import RAW_TYPES
from dnsbridge.watch.api.decoding import Incoming, Taken, decode_object
from dnsbridge.watch.api.resources import Resource

CALICO = "crd.projectcalico.org/v1"
LABEL = "expected a DNS label of a-z, 0-9 and `-`, at most 63 octets"
SUBDOMAIN = "expected DNS labels of a-z, 0-9 and `-` with dots between, at most 253 octets"
PREFIX = "expected a prefix such as 10.96.0.0/16 without host bits"
REACH = "expected an address that others can reach"
ADDRESS = "expected an IP address"


def packed(text: str) -> bytes:
    """An address by another library than the one in use."""
    return ip_address(text).packed


def made(kind: str, version: str = "v1", metadata: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """An object `web`."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "web", **(metadata or {})}, **rest}


def from_api(data: dict[str, Any]) -> Taken | str:
    """The same object from an API server's octets."""
    raw = RAW_TYPES[data["apiVersion"], data["kind"]]
    resource = Resource("things", data["kind"], data["apiVersion"], raw)
    taken = decode_object(resource, Incoming("ADDED", msgspec.Raw(msgspec.json.encode(data))))
    return taken if isinstance(taken, Taken) else taken.problem


def check_left_out(data: dict[str, Any], expected: Object, flaws: list[str], *, api: bool) -> None:
    """An object without the parts of it that are wrong, as plain data or as an API server sends it."""
    if api:
        taken = from_api(data)
        assert isinstance(taken, Taken), taken
        assert taken.object == expected
        assert [str(flaw) for flaw in taken.flaws] == flaws
        return
    outcome = decode(data)
    assert isinstance(outcome, Flawed), outcome
    assert [str(flaw) for flaw in outcome.flaws] == flaws
    assert outcome.object == expected


def check_invalid(data: dict[str, Any], problem: str) -> None:
    """An object that is left out as a whole, either way."""
    outcome = decode(data)
    assert isinstance(outcome, Invalid), outcome
    assert outcome.problem == problem
    assert from_api(data) == problem
