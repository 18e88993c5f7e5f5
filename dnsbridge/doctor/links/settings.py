"""The settings are valid."""

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, failed, ok


def check(facts: Facts) -> Link:
    """The settings are valid."""
    if facts.settings:
        return failed("settings", facts.settings, "the settings cannot be used", "dnsbridge config check")
    return ok("settings", facts.settings_from)
