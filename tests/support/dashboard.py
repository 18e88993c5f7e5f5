"""The expressions of the Grafana dashboard."""

import json
from collections.abc import Iterator

from tests.support.program import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "dnsbridge.json"


def asked() -> Iterator[tuple[str, str]]:
    """Each panel's title and expression, with everything selected and over the last seconds."""
    found = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in [*found["panels"], *found["annotations"]["list"]]:
        for target in panel.get("targets", [panel] if "expr" in panel else []):
            text = target["expr"].replace("$__rate_interval", "10s").replace("$job", ".*").replace("$instance", ".*")
            yield panel.get("title", "annotations"), text
