"""A row of `calicoctl ipam show --show-blocks`, as an object.

    +----------+-------------------+-----------+------------+--------------+
    | GROUPING |       CIDR        | IPS TOTAL | IPS IN USE |   IPS FREE   |
    +----------+-------------------+-----------+------------+--------------+
    | IP Pool  | 10.244.0.0/16     |     65536 | 41 (0%)    | 65495 (100%) |
    | Block    | 10.244.0.192/26   |        64 | 1 (2%)     | 63 (98%)     |
    +----------+-------------------+-----------+------------+--------------+

The listing does not say which node has a block.
"""

import re
from ipaddress import ip_network

from dnsbridge.cluster.excerpt import excerpt
from dnsbridge.cluster.objects import IPAMBlock, IPPool
from dnsbridge.routes.pictures.kernel_table import UnfitLine

_RULE = re.compile(r"[+|][-+|:=]{3,}[+|]")
_ROW = re.compile(r"\|\s*(IP Pool|Block)\s*\|\s*(\S+)\s*\|.*")
_HEADING = re.compile(r"\|\s*GROUPING\s*\|.*")


def is_frame(line: str) -> bool:
    """Whether a line is the frame or the heading."""
    return bool(_RULE.fullmatch(line) or _HEADING.fullmatch(line))


def row(line: str) -> IPPool | IPAMBlock | None:
    """The pool or the block of a row; None: the line is not a row. Raises UnfitLine."""
    found = _ROW.fullmatch(line)
    if not found:
        return None
    try:
        cidr = str(ip_network(found[2]))
    except ValueError:
        raise UnfitLine(f"CIDR: expected a prefix, got {excerpt(found[2])}") from None
    name = re.sub(r"[./:]", "-", cidr)
    return IPPool(name=name, cidr=cidr) if found[1] == "IP Pool" else IPAMBlock(name=name, cidr=cidr)
