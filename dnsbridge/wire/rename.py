"""Moving record sets from one zone's suffix to another: the same names under an alias zone."""

from dnsbridge.wire import rdata
from dnsbridge.wire.compose import RRset
from dnsbridge.wire.constants import MAX_NAME
from dnsbridge.wire.name import is_below
from dnsbridge.wire.query import name_end


def rename(name: bytes, zone: bytes, suffix: bytes) -> bytes:
    """A name below `zone` (folded), moved below `suffix` with its labels in lower case; any other name unchanged."""
    folded = name.lower()
    return folded[: -len(zone)] + suffix if is_below(folded, zone) else name


def rename_set(rrset: RRset, zone: bytes, suffix: bytes, asked: bytes) -> RRset:
    """A record set with its owner and the names in its data renamed; an owner that is the QNAME is spelled as asked.

    A name that would become too long stays unchanged.
    """
    owner = _rename_fitting(rrset.owner, zone, suffix)
    if owner.lower() == asked.lower():
        owner = asked
    data = tuple([_rename_data(rrset.rtype, one, zone, suffix) for one in rrset.data])
    return RRset(owner, rrset.rtype, rrset.ttl, data)


def _rename_fitting(name: bytes, zone: bytes, suffix: bytes) -> bytes:
    renamed = rename(name, zone, suffix)
    return renamed if len(renamed) <= MAX_NAME else name


def _rename_data(rtype: int, data: bytes, zone: bytes, suffix: bytes) -> bytes:
    before, count = rdata.NAMES_AT.get(rtype, (0, 0))
    parts = [data[:before]]
    position = before
    for _ in range(count):
        end = name_end(data, position)
        parts.append(_rename_fitting(data[position:end], zone, suffix))
        position = end
    return b"".join([*parts, data[position:]])
