"""The clusters have been read, and their sources are alive."""

from dnsbridge.doctor.facts import KUBECONFIG, MANIFESTS, Facts, Source
from dnsbridge.doctor.link import Link, failed, ok, unknown


def check(facts: Facts) -> Link:
    """The cluster has been read, and its source is alive."""
    if not facts.sources:
        return unknown("source", "no cluster is configured here; name it with --kubeconfig or --manifests")
    for each in facts.sources:
        if each.problem:
            return failed(
                "source",
                f"cluster {each.cluster} ({each.where}): {each.problem}",
                f"cluster {each.cluster} cannot be read",
                _mend(each),
            )
        if not each.fresh:
            return failed(
                "source",
                f"cluster {each.cluster} ({each.where}): no sign of life from its source",
                f"what is known of cluster {each.cluster} is old",
                _mend(each),
            )
    return ok("source", ", ".join(f"cluster {each.cluster} read from {each.where}" for each in facts.sources))


def _mend(source: Source) -> str:
    if source.where.startswith(MANIFESTS):
        return f"ls -l {source.where.removeprefix(MANIFESTS)}, for whether it is there and can be read"
    if source.where.startswith(KUBECONFIG):
        path, _, context = source.where.removeprefix(KUBECONFIG).partition(", context ")
        with_context = f" --context {context}" if context else ""
        return f"kubectl --kubeconfig {path}{with_context} get --raw /readyz, for whether the API server is ready"
    return "kubectl get --raw /readyz, for whether the API server is ready"
