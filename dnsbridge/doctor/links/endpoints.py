"""The service has endpoints that are ready."""

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, failed, ok, unknown


def check(facts: Facts) -> Link:
    """The service has endpoints that are ready."""
    service = facts.service
    if service is None:
        return unknown("endpoints", "no service is known by that name")
    if service.kind == "ExternalName":
        return ok("endpoints", f"service {service.name} is another name (ExternalName)")
    if service.ready:
        more = f", {service.not_ready} not" if service.not_ready else ""
        return ok("endpoints", f"service {service.name} has {service.ready} ready{more}")
    namespace, name = service.name.split("/")
    cause = f"none of its {service.not_ready} endpoints is ready" if service.not_ready else "no pod is behind it"
    return failed(
        "endpoints",
        f"service {service.name} has 0 ready, {service.not_ready} not",
        cause,
        f"kubectl --namespace {namespace} describe service {name}",
    )
