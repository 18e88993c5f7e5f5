"""From settings and parts to the admission of the listeners: whose questions they answer, and how often."""

from ipaddress import ip_network

from dnsbridge.app.answering.parts import Parts
from dnsbridge.config import PRIVATE, Settings
from dnsbridge.listeners.access import Access
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.fairness import Waiting
from dnsbridge.listeners.response_rate import PER_SECOND, ResponseRate
from dnsbridge.resolvers.at_hand import at_hand

_EVERYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def admission(settings: Settings, parts: Parts) -> Admission:
    """The admission that all listeners share."""
    rate = settings.access.response_rate
    if rate == "auto":
        unlimited, per_second = PRIVATE, PER_SECOND
    else:
        unlimited, per_second = () if rate else _EVERYBODY, rate
    return Admission(
        Access(settings.access.networks, unlimited),
        settings.access.denied == "drop",
        ResponseRate(per_second),
        Waiting(),
        at_hand(parts.router, parts.zones.store),
        parts.router.perhaps_clusters,
    )
