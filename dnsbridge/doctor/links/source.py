"""The clusters have been read, and their sources are alive."""

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, failed, ok, unknown


def check(facts: Facts) -> Link:
    """The cluster has been read, and its source is alive."""
    if not facts.sources:
        return unknown("source", "no cluster is configured here")
    for each in facts.sources:
        if each.problem:
            return failed(
                "source",
                f"cluster {each.cluster} ({each.where}): {each.problem}",
                f"cluster {each.cluster} cannot be read",
                "kubectl get --raw /readyz, with the kubeconfig of the settings",
            )
        if not each.fresh:
            return failed(
                "source",
                f"cluster {each.cluster} ({each.where}): no sign of life from its source",
                f"what is known of cluster {each.cluster} is old",
                "kubectl get --raw /readyz, with the kubeconfig of the settings",
            )
    return ok("source", ", ".join(f"cluster {each.cluster} read from {each.where}" for each in facts.sources))
