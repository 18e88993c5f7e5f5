"""What a companion's collector says of parts in known states."""

import random
from ipaddress import ip_address, ip_network
from types import SimpleNamespace
from typing import Any

from dnsbridge.app.companion.pull import Puller
from dnsbridge.app.facts.companion_metrics import CompanionCollector, Counted
from dnsbridge.backoff import Backoff
from dnsbridge.config.routes import Pull
from dnsbridge.routes.model import Note, Severity
from dnsbridge.routes.pictures.document import Told
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.sinks.bgp.events import Down, Sent, Up
from dnsbridge.sinks.bgp.process import ExaBgp
from dnsbridge.sinks.bgp.sink import BgpSink
from dnsbridge.sinks.bgp.speaker import Peer, Speaker
from dnsbridge.sinks.reconcile import Reconciler
from dnsbridge.watch.gateway_probe import SILENT, GatewayProbe

ONE, TWO = ip_address("10.0.0.7"), ip_address("10.0.0.8")


def bgp() -> BgpSink:
    """A sink with a session to one peer, which knows two prefixes, and without one to another."""
    speaker = Speaker(64512, (Peer(ONE, 64513, 179, b""), Peer(TWO, 64513, 179, b"")), None, None, 90, 120)
    sink = BgpSink(speaker)
    sink._child = child = ExaBgp(speaker)
    for event in (
        Up(ONE),
        Sent(ONE, tuple((ip_network(prefix), TWO) for prefix in ("10.1.0.0/24", "10.2.0.0/24"))),
        Up(TWO),
        Down(TWO, "Administrative Shutdown"),
    ):
        child.peers[event.peer].take(event)
    return sink


def probe() -> GatewayProbe:
    """Two gateways, of which one is silent."""
    made = GatewayProbe(22, lambda: None)
    made.watch([ONE, TWO])
    made._missed[TWO] = SILENT
    made._tell()
    return made


def puller() -> Puller:
    """A server that has told of two clusters, and knows one of them only from before."""
    made = Puller(Pull(url="http://127.0.0.1:1"), None)
    made.told = (Told(Picture("fresh"), True), Told(Picture("old"), False))
    made.alive, made.confirmed_at = True, 0.0
    return made


def samples(counted: Counted) -> dict[str, float]:
    """By name and the label's value."""
    found = {}
    for metric in CompanionCollector(counted).collect():
        for sample in metric.samples:
            found[" ".join([sample.name.removeprefix("dnsbridge_"), *sample.labels.values()])] = sample.value
    return found


def counted(**parts: Any) -> Counted:
    """The parts of a companion that takes part in an election and pulls."""
    notes = [Note(Severity.ERROR, "n1", "left out"), Note(Severity.INFO, "n2", "chosen"), Note(Severity.INFO, "n3", "")]
    companion = SimpleNamespace(notes=notes, damped=[ip_network("10.1.0.0/24")], probe=None)
    companion.__dict__.update(parts)
    reconciler = Reconciler(bgp(), Backoff(random.random), leads=False)
    candidate: Any = SimpleNamespace(leads=False)
    return Counted(companion, [reconciler], (), puller(), candidate)  # type: ignore[arg-type]


def test_states() -> None:
    """Peers, gateways, notes, the pulled document and the election, each as it is known."""
    found = samples(counted(probe=probe()))
    expected = {
        "bgp_session_up 10.0.0.7": 1,
        "bgp_session_up 10.0.0.8": 0,
        "bgp_prefixes_told 10.0.0.7": 2,
        "bgp_prefixes_told 10.0.0.8": 0,
        "gateway_silent 10.0.0.7": 0,
        "gateway_silent 10.0.0.8": 1,
        "route_notes error": 1,
        "route_notes warning": 0,
        "route_notes info": 2,
        "routes_damped": 1,
        "cluster_synced fresh": 1,
        "cluster_synced old": 0,
        "pull_up": 1,
        "companion_leads": 0,
        "routes_wanted bgp": 0,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["pull_age_seconds"] > 0


def test_nothing_known() -> None:
    """Without a probe there are no gateways, and clusters of a server that is away are not current."""
    made = counted()
    assert made.puller
    made.puller.alive = False
    found = samples(made)
    assert not [name for name in found if name.startswith("gateway_silent")]
    assert (found["pull_up"], found["cluster_synced fresh"]) == (0, 0)
