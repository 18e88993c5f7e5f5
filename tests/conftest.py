"""What all tests share: parts outside Python that a test needs, and how many examples hypothesis draws.

    @pytest.mark.needs("dig", "knotd")     programs listed in tools/debian-packages.txt
    @pytest.mark.needs("netns")            root, and network namespaces that work

A missing part skips the test and names itself. With DNSBRIDGE_REQUIRE_PARTS=1 every skip is a failure, so that
continuous integration cannot pass by testing nothing.
"""

import os
import shutil
import subprocess
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest

from tests.support.own_files import UNPACKED
from tests.support.properties import load_profile

REQUIRE_PARTS = os.environ.get("DNSBRIDGE_REQUIRE_PARTS", "") not in ("", "0")
PACKAGES = Path(__file__).parent.parent / "tools" / "debian-packages.txt"

load_profile()  # before the tests are read: a property keeps the settings that hold when it is defined

# Debian keeps servers there (FRR's in a folder of their own), and an ordinary user's PATH does not have them. What is
# only unpacked comes last.
os.environ["PATH"] += os.pathsep + os.pathsep.join(["/usr/sbin", "/sbin", "/usr/lib/frr", str(UNPACKED)])


@cache
def debian_packages() -> dict[str, str]:
    """The Debian package of each program that tests may need."""
    lines = [line.split() for line in PACKAGES.read_text(encoding="utf-8").splitlines()]
    return {words[0]: words[1] for words in lines if words and words[0] != "#"}


@cache
def missing(part: str) -> str:
    """Why a part cannot be used, in one line; empty when it can."""
    if part == "netns":
        return missing("ip") or _missing_netns()
    package = debian_packages()[part]
    return "" if shutil.which(part) else f"{part} is not installed (Debian package {package})"


def _missing_netns() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"dnsbridge-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"network namespaces do not work here: {made.stderr.strip()}"
    try:
        up = ["ip", "netns", "exec", name, "ip", "link", "set", "lo", "up"]
        used = subprocess.run(up, capture_output=True, text=True, check=False)
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
    return f"network namespaces do not work here: {used.stderr.strip()}" if used.returncode else ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test before its fixtures start, when a part that it needs is missing."""
    reasons = [missing(part) for marker in item.iter_markers("needs") for part in marker.args]
    lacking = [reason for reason in reasons if reason]
    if lacking:
        pytest.skip("; ".join(lacking))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under DNSBRIDGE_REQUIRE_PARTS, report a skip as a failure."""
    report = yield
    if REQUIRE_PARTS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        report.longrepr = f"{reason} (a skip is a failure under DNSBRIDGE_REQUIRE_PARTS)"
    return report
