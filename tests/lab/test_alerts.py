"""A real Prometheus scrapes a server and a companion with our rules: what breaks is an alert, and nothing else is.

here 10.0.0.1/24 ----+---- router 10.0.0.254 (BIRD, AS 65200), and the office's DNS server
  dnsbridge serve    |
  routes run (AS 64513): the kernel and the router
  Prometheus
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apiserver.server import ApiServer, in_thread
from tests.support.bird import Bird
from tests.support.companion import Companion, node, table
from tests.support.dashboard import asked
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.program import ROOT, Program
from tests.support.prometheus import Prometheus
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "curl", "dig", "bird", "birdc", "prometheus")
HERE, ROUTER, GATEWAY = "10.0.0.1", "10.0.0.254", "10.0.0.99"
BIRD = f"""router id {ROUTER};
protocol bgp companion {{
  local {ROUTER} as 65200;
  neighbor {HERE} as 64513;
  error wait time 1, 1;
  ipv4 {{ import all; export none; }};
}}
"""
BGP = {"asn": 64513, "peers": [{"address": ROUTER, "asn": 65200}], "graceful_restart": 0}
NOT_HERE = {"dnsbridge_certificate_not_after_seconds", "dnsbridge_failures_total"}
"""What the dashboard asks for and this network has not: client certificates, and failures while all is well."""


def _asking(here: Namespace, port: int) -> Callable[[], None]:
    """Asks the server for a name of the office that it has not been asked for before, and for one of the cluster."""
    numbers = iter(range(10**6))

    def ask() -> None:
        for name in (f"n{next(numbers)}.office.test", "web.shop.svc.cluster.local"):
            here.run("dig", "+tries=1", "+timeout=1", "-p", str(port), f"@{HERE}", name)

    return ask


def _firing(prometheus: Prometheus, ask: Callable[[], None], alert: str) -> None:
    """Ask until an alert fires."""

    def fires() -> bool:
        ask()
        return alert in prometheus.firing()

    eventually(fires, prometheus.firing)


def test_what_breaks_is_an_alert(tmp_path: Path) -> None:
    """Nothing fires while all is well, and the dashboard has its metrics; each thing that breaks fires its alert."""
    manifests = tmp_path / "cluster"
    shutil.copytree(ROOT / "dnsbridge" / "example", manifests)
    with Switch() as switch:
        here = switch.host(f"{HERE}/24", resolv_conf=f"nameserver {HERE}\n")
        router = switch.host(f"{ROUTER}/24")
        office = Program(
            manifests,
            settings={"clusters": [{"zone": "office.test"}]},
            listen=[f"{ROUTER}:53"],
            command_prefix=router.prefix,
        )
        server = Program(manifests, http=True, upstreams=[ROUTER], listen=[f"{HERE}:53"], command_prefix=here.prefix)
        with office, server, in_thread(ApiServer(tls=False), here.enter) as api:
            api.change(put=[node(number) for number in (1, 2, 3)])
            source = {"kubeconfig": str(api.kubeconfig(tmp_path / "kubeconfig"))}
            routes = {"http": "127.0.0.1:0", "via": "nodes", "sinks": ["kernel", "bgp"], "bgp": BGP}
            routes |= {"gateways": {"addresses": [ROUTER], "probe": 179}}
            with (
                Bird(router, BIRD) as bird,
                Companion(here, tmp_path, {"clusters": [{"source": source}], "routes": routes}) as companion,
            ):
                http = server.wait_for_log(r"metrics on http://(\S+)/metrics")[1]
                targets = {"dnsbridge": http, "dnsbridge-routes": companion.http.removeprefix("http://")}
                with Prometheus(here, targets) as prometheus:
                    _all_well(prometheus, companion, _asking(here, 53))
                    _a_foreign_route(prometheus, here)
                    bird.stop()
                    eventually(lambda: "BgpSessionDown" in prometheus.firing(), companion.metrics)
                    office.stop()
                    _firing(prometheus, _asking(here, 53), "AllUpstreamsDown")
                    server.stop()
                    eventually(lambda: "Down" in prometheus.firing())
                    said = {each["labels"]["alertname"]: each["annotations"] for each in prometheus.alerts()}
                    assert said["DnsbridgeBgpSessionDown"]["summary"] == f"No BGP session with {ROUTER}"


def _all_well(prometheus: Prometheus, companion: Companion, ask: Callable[[], None]) -> None:
    """Everything is there and nothing fires; every panel of the dashboard can be asked for what is there."""
    session = f'dnsbridge_bgp_session_up{{peer="{ROUTER}"}}'
    eventually(lambda: companion.metrics().get(session) == 1, companion.metrics)
    reached = "dnsbridge_routes_wanted == dnsbridge_routes_reached"
    eventually(lambda: len(prometheus.query(reached)) == 2 and len(prometheus.query("up == 1")) == 2)
    asks = re.compile(r"\b(?:dnsbridge|process)_\w+")
    names = {name for _, text in asked() for name in asks.findall(text)} - NOT_HERE

    def complete() -> bool:
        ask()
        return names <= prometheus.names()

    eventually(complete, lambda: names - prometheus.names())
    for _, text in asked():
        prometheus.query(text)
    eventually(lambda: not prometheus.firing(), prometheus.firing)
    # Another evaluation of all rules, after this moment, finds nothing either.
    before = prometheus.evaluated()
    eventually(lambda: prometheus.evaluated() > before)
    assert prometheus.firing() == set()


def _a_foreign_route(prometheus: Prometheus, here: Namespace) -> None:
    """Somebody takes the place of a route of ours, which fires, and gives it back, which ends that."""
    must(here, "ip", "route", "replace", "10.244.2.0/24", "via", GATEWAY, "proto", "bird")
    eventually(lambda: "RoutesNotReached" in prometheus.firing())
    must(here, "ip", "route", "del", "10.244.2.0/24", "proto", "bird")
    eventually(lambda: "10.244.2.0/24" in table(here))
    eventually(lambda: prometheus.firing() == set(), prometheus.firing)
