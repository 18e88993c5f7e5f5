"""What is written about metrics (docs, alerts, dashboard) fits what both programs show at /metrics."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dnsbridge.cli import main
from tests.support.companion import Companion, host
from tests.support.dashboard import DASHBOARD, asked
from tests.support.program import ROOT, Program

RULES = ROOT / "deploy" / "prometheus" / "dnsbridge.rules.yaml"
EXAMPLE = ROOT / "dnsbridge" / "example"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
PARTS = ("Cause", "See it", "Mend it")
_NAME = re.compile(r"\bdnsbridge_[a-z0-9_]+")
_RECORDED = re.compile(r"\b[a-z_]+:dnsbridge_[a-z0-9_]+:[a-z0-9_]+")


class Shown(NamedTuple):
    """What the programs show."""

    server: str
    companion: str


class Row(NamedTuple):
    """A metric as the document describes it."""

    kind: str
    labels: frozenset[str]
    text: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A server with two workers that has answered, and a companion that has set routes."""
    routes = {"http": "127.0.0.1:0", "via": "gateways", "gateways": {"addresses": ["10.0.0.9"], "probe": 22}}
    settings = {"clusters": [{"source": {"manifests": str(EXAMPLE)}}], "routes": {**routes, "sinks": ["kernel"]}}
    folder = tmp_path_factory.mktemp("companion")
    with host() as place, Program(EXAMPLE, http=True, options=["--workers", "2"]) as program:
        program.ask("web.shop.svc.cluster.local")
        program.ask("www.example.com")
        with Companion(place, folder, settings) as companion:
            yield Shown(program.page("/metrics"), companion.page("/metrics"))


def families(page: str) -> dict[str, Row]:
    """Our metrics of a scrape, by the name that samples have (histograms: without the suffix)."""
    found = {}
    for family in text_string_to_metric_families(page):
        if family.name.startswith("dnsbridge_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
            found[name] = Row(family.type, labels, family.documentation)
    return found


def described(heading: str) -> dict[str, Row]:
    """The table below a heading of docs/metrics.md."""
    section = METRICS.split(f"\n## {heading}")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            name, kind, labels, text = [cell.strip() for cell in line.strip("|").split("|")]
            found[name.strip("`")] = Row(kind, frozenset(labels.replace(",", " ").split()), text)
    return found


def known() -> frozenset[str]:
    """All names that samples have, by the document."""
    found = set()
    for heading in ("Both programs", "The server", "The companion"):
        for name, row in described(heading).items():
            histogram = row.kind == "histogram"
            found.update([f"{name}_{suffix}" for suffix in ("bucket", "sum", "count")] if histogram else [name])
    return frozenset(found)


@pytest.mark.needs("netns", "curl")
def test_the_document_has_what_is_shown(shown: Shown) -> None:
    """Each metric that is shown stands in the document with its kind, labels and help, and no other does."""
    server, companion = families(shown.server), families(shown.companion)
    for heading, page in (
        ("Both programs", {name: server[name] for name in server.keys() & companion.keys()}),
        ("The server", {name: server[name] for name in server.keys() - companion.keys()}),
        ("The companion", {name: companion[name] for name in companion.keys() - server.keys()}),
    ):
        rows = described(heading)
        assert sorted(rows) == sorted(page)
        assert {name: (row.kind, row.text) for name, row in rows.items()} == {
            name: (row.kind, row.text) for name, row in page.items()
        }
        with_samples = {name: row.labels for name, row in page.items() if row.labels}
        assert with_samples == {name: rows[name].labels for name in with_samples}


@pytest.mark.needs("netns", "curl", "promtool")
@pytest.mark.parametrize("program", ["server", "companion"])
def test_promtool_checks_metrics(shown: Shown, program: str) -> None:
    """Names, units and suffixes are as Prometheus wants them."""
    page = getattr(shown, program)
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def rules() -> list[dict[str, Any]]:
    """All rules."""
    found = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of rules, documents and dashboard, and where it is."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    yield from asked()
    yield "runbook", RUNBOOK
    yield "CoreDNS", METRICS.split("## For those who know CoreDNS")[1]


def test_only_known_metrics() -> None:
    """Whatever is asked of Prometheus is a metric that exists, or a rule that records one."""
    plain = known() | {name.rsplit("_", 1)[0] for name in known() if name.endswith(("_bucket", "_sum", "_count"))}
    for where, text in expressions():
        assert set(_RECORDED.findall(text)) <= RECORDED, where
        assert set(_NAME.findall(_RECORDED.sub("", text))) <= plain, where


def test_panels_stand_side_by_side() -> None:
    """No panel of the dashboard covers another, and each has its own number."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.needs("promtool")
def test_promtool_checks_rules() -> None:
    """Expressions and templates are well-formed."""
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(rules())} rules found" in done.stdout


def test_alerts_have_their_paragraph() -> None:
    """Each alert leads to its paragraph, with cause, how to see it and what mends it; no paragraph has no alert."""
    assert re.findall(r"^## (\w+)$", RUNBOOK, re.M) == list(ALERTS)
    for name, rule in ALERTS.items():
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")
        paragraph = RUNBOOK.split(f"## {name}\n")[1].split("\n## ")[0]
        assert tuple(re.findall(r"^- \*\*([\w ]+)\.\*\* ", paragraph, re.M)) == PARTS


def test_commands_of_the_runbook_exist() -> None:
    """`dnsbridge WORDS` of the runbook is a command of the program."""
    said = set(re.findall(r"`dnsbridge ([a-z]+(?: [a-z]+)?)", RUNBOOK))
    assert "routes apply" in said
    for words in said:
        command: Any = main
        for word in words.split():
            if (commands := getattr(command, "commands", None)) is None:
                break
            command = commands.get(word)
            assert command, words


HEALTHY: Mapping[str, str] = {
    "up{JOB}": "1x95",
    'dnsbridge_cluster_synced{JOB, cluster="dev"}': "1x95",
    'dnsbridge_cluster_age_seconds{JOB, cluster="dev"}': "5x95",
    "dnsbridge_pull_up{JOB}": "1x95",
    'dnsbridge_upstream_up{JOB, zone=".", upstream="one"}': "1x95",
    'dnsbridge_upstream_up{JOB, zone=".", upstream="two"}': "1x95",
    'dnsbridge_answers_total{JOB, rcode="NOERROR", source="prepared"}': "0+60000x95",
    'dnsbridge_answers_total{JOB, rcode="SERVFAIL", source="none"}': "0+600x95",
    'dnsbridge_answer_duration_seconds_bucket{JOB, source="cluster", le="0.016"}': "0+600x95",
    'dnsbridge_answer_duration_seconds_bucket{JOB, source="cluster", le="0.256"}': "0+600x95",
    'dnsbridge_answer_duration_seconds_bucket{JOB, source="cluster", le="+Inf"}': "0+600x95",
    'dnsbridge_answer_duration_seconds_bucket{JOB, source="forward", le="0.256"}': "0+600x95",
    'dnsbridge_answer_duration_seconds_bucket{JOB, source="forward", le="4.0"}': "0+600x95",
    'dnsbridge_answer_duration_seconds_bucket{JOB, source="forward", le="+Inf"}': "0+600x95",
    'dnsbridge_ignored_total{JOB, reason="overload"}': "0x95",
    'dnsbridge_ignored_total{JOB, reason="shed"}': "0x95",
    'dnsbridge_ignored_total{JOB, reason="short"}': "0+600x95",
    "dnsbridge_udp_lost_total{JOB}": "0x95",
    "dnsbridge_prepared_evicted_total{JOB}": "0+1200x95",
    "dnsbridge_prepared_hits_total{JOB}": "0+60000x95",
    'dnsbridge_routes_wanted{JOB, sink="kernel"}': "7x95",
    'dnsbridge_routes_reached{JOB, sink="kernel"}': "7x95",
    'dnsbridge_mass_change_refused{JOB, sink="kernel"}': "0x95",
    'dnsbridge_bgp_session_up{JOB, peer="10.0.0.7"}': "1x95",
    'dnsbridge_gateway_silent{JOB, gateway="10.0.0.9"}': "0x95",
    'dnsbridge_unrouted_answers_total{JOB, cluster="dev"}': "3x95",
    'dnsbridge_certificate_not_after_seconds{JOB, cluster="dev"}': "31536000x95",
    'dnsbridge_event_loop_lag_seconds_bucket{JOB, le="0.002"}': "0+120x95",
    'dnsbridge_event_loop_lag_seconds_bucket{JOB, le="0.512"}': "0+120x95",
    'dnsbridge_event_loop_lag_seconds_bucket{JOB, le="+Inf"}': "0+120x95",
}
"""An hour and a half of a server and a companion in one, a sample a minute, in promtool's notation."""
_SYNCED, _AGE = 'dnsbridge_cluster_synced{JOB, cluster="dev"}', 'dnsbridge_cluster_age_seconds{JOB, cluster="dev"}'
_ONE, _TWO = (f'dnsbridge_upstream_up{{JOB, zone=".", upstream="{name}"}}' for name in ("one", "two"))
_CLUSTER = 'dnsbridge_answer_duration_seconds_bucket{JOB, source="cluster", le="0.016"}'
_FORWARD = 'dnsbridge_answer_duration_seconds_bucket{JOB, source="forward", le="0.256"}'
BROKEN = [
    ("nothing is scraped", "Down", {"up{JOB}": "0x95"}),
    ("a silent cluster", "SourceStale", {_SYNCED: "0x95"}),
    ("never read", "ClusterUnsynced", {_SYNCED: "0x95", _AGE: "_x95"}),
    ("the server is away", "PullFailing", {"dnsbridge_pull_up{JOB}": "0x95", _SYNCED: "0x95", _AGE: "_x95"}),
    ("one of two", "UpstreamDown", {_ONE: "0x95"}),
    ("both", "AllUpstreamsDown", {_ONE: "0x95", _TWO: "0x95"}),
    (
        "6%",
        "ServfailRatio",
        {'dnsbridge_answers_total{JOB, rcode="SERVFAIL", source="none"}': "0+4000x95"},
    ),
    ("from memory", "SlowAnswers", {_CLUSTER: "0+580x95"}),
    (
        "forwarded",
        "SlowAnswers",
        {_FORWARD: "0+580x95"},
    ),
    ("one is shed every six seconds", "Drops", {'dnsbridge_ignored_total{JOB, reason="shed"}': "0+10x95"}),
    ("the kernel loses some", "Drops", {"dnsbridge_udp_lost_total{JOB}": "0+10x95"}),
    ("as often as used", "PreparedThrashing", {"dnsbridge_prepared_evicted_total{JOB}": "0+60000x95"}),
    ("one is missing", "RoutesNotReached", {'dnsbridge_routes_reached{JOB, sink="kernel"}': "6x95"}),
    ("refused", "MassChangeRefused", {'dnsbridge_mass_change_refused{JOB, sink="kernel"}': "1x95"}),
    ("no session", "BgpSessionDown", {'dnsbridge_bgp_session_up{JOB, peer="10.0.0.7"}': "0x95"}),
    ("a silent gateway", "GatewaySilent", {'dnsbridge_gateway_silent{JOB, gateway="10.0.0.9"}': "1x95"}),
    ("a few", "UnroutedAnswers", {'dnsbridge_unrouted_answers_total{JOB, cluster="dev"}': "0+1x95"}),
    (
        "six days",
        "CertificateEnds",
        {'dnsbridge_certificate_not_after_seconds{JOB, cluster="dev"}': "518400x95"},
    ),
    ("2% late", "EventLoopLate", {'dnsbridge_event_loop_lag_seconds_bucket{JOB, le="0.002"}': "0+100x95"}),
]


def series(instance: str, broken: Mapping[str, str]) -> list[dict[str, str]]:
    """The series of one instance, in which something is broken."""
    job = f'job="dnsbridge", instance="{instance}"'
    return [{"series": key.replace("JOB", job), "values": value} for key, value in {**HEALTHY, **broken}.items()]


@pytest.mark.needs("promtool")
def test_each_alert_fires_alone(tmp_path: Path) -> None:
    """Nothing fires while all is well or has just begun; whatever breaks, its alert fires there, and no other."""
    assert {f"Dnsbridge{alert}" for _, alert, _ in BROKEN} == set(ALERTS)
    every = series("all is well", {})
    for name, _, broken in BROKEN:
        every += series(name, broken)
    firing = 'count by (alertname, instance) (ALERTS{alertstate="firing"})'
    expected = [
        {"labels": f'{{alertname="Dnsbridge{alert}", instance="{name}"}}', "value": 1} for name, alert, _ in BROKEN
    ]
    checks = [{"expr": firing, "eval_time": "0m"}, {"expr": firing, "eval_time": "90m", "exp_samples": expected}]
    test = {"interval": "1m", "input_series": every, "promql_expr_test": checks}
    file = tmp_path / "alerts.json"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
