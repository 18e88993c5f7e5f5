"""Calico's keys in etcd, as `etcdctl get /calico --prefix --keys-only` lists them, decoded to objects.

    /calico/ipam/v2/host/NODE/ipv4/block/192.244.190.128-26           a block of a node
    /calico/ipam/v2/host/NODE/ipv6/block/fd80:24e2:f998:72d6::-122    the same, IPv6
    /calico/ipam/v2/assignment/ipv4/block/192.244.190.128-26          a block, whichever node has it
    /calico/v1/ipam/v4/pool/192.244.0.0-16                            a pool of Calico 2
    /calico/resources/v3/projectcalico.org/ippools/NAME               a pool of Calico 3, by its value alone

Without `--keys-only` a line of JSON follows each key: the state of a block's affinity, the addresses of a block, an
object of projectcalico.org/v3 (a Node has its addresses there). Source of the keys: libcalico-go/lib/backend/model.
"""

import json
import re
from ipaddress import ip_network
from typing import Any

from dnsbridge.cluster.decode import Flawed, Invalid, Unused, decode
from dnsbridge.cluster.excerpt import excerpt
from dnsbridge.cluster.objects import Object
from dnsbridge.routes.model import Prefix
from dnsbridge.routes.pictures.kernel_table import UnfitLine

_KEY = re.compile(r"/?(?:calico|registry)/\S*|/[\w.:-]+(?:/\S*)?")
_HOST = re.compile(r"/?calico/ipam/v2/host/([^/]+)/ipv[46]/block/([^/]+)")
_ASSIGNMENT = re.compile(r"/?calico/ipam/v2/assignment/ipv[46]/block/([^/]+)")
_POOL = re.compile(r"/?calico/v1/ipam/v[46]/pool/([^/]+)")
_OBJECT = re.compile(r"/?calico/resources/v3/projectcalico\.org/[a-z]+/\S+")
_CALICO = "crd.projectcalico.org/v1"
MAX_VALUE = 1 << 20
"""Characters of a value: a block of 4,096 addresses has some 300,000."""


def is_key(word: str) -> bool:
    """Whether a line's only word is a key."""
    return bool(_KEY.fullmatch(word))


def says(key: str) -> bool:
    """Whether a key, or its value, is of use here."""
    return any(each.fullmatch(key) for each in (_HOST, _ASSIGNMENT, _POOL, _OBJECT))


def object_of(key: str, value: str = "") -> Object | Flawed | None:
    """The object of a key and, if known, its value; None: the key stands for no object. Raises UnfitLine."""
    said: dict[str, Any] | None
    if found := _HOST.fullmatch(key):
        cidr = prefix_of_key(found[2])
        state = _json(value).get("state", "confirmed") if value else "confirmed"
        spec = {"cidr": str(cidr), "node": found[1], "state": state}
        said = _said("BlockAffinity", f"{found[1]}-{_dashed(cidr)}", spec)
    elif found := _ASSIGNMENT.fullmatch(key):
        cidr = prefix_of_key(found[1])
        known = _json(value) if value else {}
        spec = {name: known[name] for name in ("affinity", "allocations", "attributes", "deleted") if name in known}
        said = _said("IPAMBlock", _dashed(cidr), {**spec, "cidr": str(cidr)})
    elif found := _POOL.fullmatch(key):
        cidr = prefix_of_key(found[1])
        said = _said("IPPool", _dashed(cidr), {"cidr": str(cidr)})
    else:
        said = _json(value) if value and _OBJECT.fullmatch(key) else None
    return decoded(said) if said is not None else None


def decoded(said: object) -> Object | Flawed | None:
    """The slim object from plain data; None: it is of no use. Raises UnfitLine."""
    match decode(said):
        case Invalid() as invalid:
            raise UnfitLine(str(invalid)[:200])
        case Unused():
            return None
        case found:
            return found


def prefix_of_key(text: str) -> Prefix:
    """The prefix that a key ends with: `-` stands for `/`, in names also for `.` and `:`. Raises UnfitLine."""
    address, _, length = text.rpartition("-")
    if "-" in address:
        parts = address.split("-")
        address = ".".join(parts) if len(parts) == 4 and all(map(str.isdecimal, parts)) else ":".join(parts)
    try:
        return ip_network(f"{address}/{length}")
    except ValueError:
        raise UnfitLine(f"expected a block such as 192.244.190.128-26 at the key's end, got {excerpt(text)}") from None


def _said(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": _CALICO, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _dashed(cidr: Prefix) -> str:
    """The name that Calico gives the object of a block."""
    return re.sub(r"[./:]", "-", str(cidr))


def _json(value: str) -> dict[str, Any]:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnfitLine("expected the value of the key above as JSON")
    return found
