"""Conflicts between clusters that claim one prefix: its reverse zone can hold the names of only one of them."""

from collections.abc import Sequence
from typing import NamedTuple

from dnsbridge.wire.addresses import Network


class Claim(NamedTuple):
    """The prefixes that one cluster claims."""

    cluster: str
    precedence: int
    """If two clusters claim a prefix, the one with the higher number has it."""
    networks: tuple[Network, ...]


def claimed_twice(claims: Sequence[Claim]) -> str:
    """A message that names the first two clusters with equal precedence and overlapping prefixes; empty: none."""
    for position, one in enumerate(claims):
        for other in claims[position + 1 :]:
            if one.precedence != other.precedence:
                continue
            for network in one.networks:
                for claimed in other.networks:
                    if network.version == claimed.version and network.overlaps(claimed):
                        return (
                            f"clusters {one.cluster} and {other.cluster} both claim {network}"
                            f"{'' if network == claimed else f' and {claimed}'}; give one a higher precedence"
                        )
    return ""
