"""Clusters that claim one prefix, so that it is open whose names the prefix's reverse zone has."""

from collections.abc import Sequence
from typing import NamedTuple

from dnsbridge.wire.addresses import Network


class Claim(NamedTuple):
    """What one cluster claims."""

    cluster: str
    precedence: int
    """Of two clusters that claim a prefix the one with the higher number has it."""
    networks: tuple[Network, ...]


def claimed_twice(claims: Sequence[Claim]) -> str:
    """The first two clusters of one precedence that claim a prefix, and what to do; empty: none do."""
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
