"""A real Prometheus in a namespace, with our rules, and what it answers.

with Prometheus(host, {"dnsbridge": "127.0.0.1:9153"}) as prometheus:
    prometheus.query("up")     values by labels
    prometheus.firing()        alerts, by name, with their annotations
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import yaml

from tests.support.daemon import RealServer, open_folder
from tests.support.links import must
from tests.support.namespace import Namespace
from tests.support.program import ROOT

RULES = ROOT / "deploy" / "prometheus" / "dnsbridge.rules.yaml"
_ADDRESS = "127.0.0.1:9090"
_OFTEN = "500ms"


class Prometheus(RealServer):
    """The server; `with` runs it. It scrapes and evaluates twice a second, and no alert waits longer than that."""

    def __init__(self, host: Namespace, targets: Mapping[str, str]) -> None:
        """`targets` are addresses by job."""
        super().__init__()
        self._host = host
        self._targets = targets

    def _start(self) -> None:
        folder = self._stack.enter_context(open_folder())
        rules = re.sub(r"^( +for:) .*$", rf"\1 {_OFTEN}", RULES.read_text(encoding="utf-8"), flags=re.M)
        (folder / RULES.name).write_text(rules, encoding="utf-8")
        jobs = [{"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in self._targets.items()]
        often = {"scrape_interval": _OFTEN, "scrape_timeout": _OFTEN, "evaluation_interval": _OFTEN}
        config = {"global": often, "rule_files": [RULES.name], "scrape_configs": jobs}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={_ADDRESS}",
        ]

        def ready() -> bool:
            return self._host.run("curl", "-sf", f"http://{_ADDRESS}/-/ready").returncode == 0

        self._run(command, folder / "prometheus.log", ready, self._host)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The result of an expression now: labels and value of each series. A bad expression fails the test."""
        found = self._get(f"query?{urlencode({'query': expression})}")
        assert found["resultType"] == "vector", found
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    def names(self) -> set[str]:
        """All names of metrics that it has."""
        return set(self._get("label/__name__/values"))

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fire, with `labels` and `annotations`."""
        found: list[dict[str, Any]] = self._get("alerts")["alerts"]
        return [each for each in found if each["state"] == "firing"]

    def evaluated(self) -> str:
        """When the alerts were last evaluated, as text that grows."""
        return str(self._get("rules?type=alert")["groups"][-1]["lastEvaluation"])

    def firing(self) -> set[str]:
        """The names of the alerts that fire, without our prefix."""
        return {each["labels"]["alertname"].removeprefix("Dnsbridge") for each in self.alerts()}

    def _get(self, path: str) -> Any:
        answer = json.loads(must(self._host, "curl", "-s", f"http://{_ADDRESS}/api/v1/{path}"))
        assert answer["status"] == "success", answer
        return answer["data"]
