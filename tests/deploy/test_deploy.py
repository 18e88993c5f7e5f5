"""What stands in deploy/ fits the program."""

from pathlib import Path

import yaml

from dnsbridge.watch.api.resources import ENDPOINT_SLICES, NAMESPACES, PODS, PREFIXES, ROUTES, SERVICES

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_roles_grant_what_is_watched_and_no_more() -> None:
    """The rules of deploy/rbac*.yaml are exactly the resources that may be watched, and one for the Lease."""
    granted = set()
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
    texts = [path.read_text(encoding="utf-8") for path in DEPLOY.glob("rbac*.yaml")]
    for document in [document for text in texts for document in yaml.safe_load_all(text)]:
        for rule in document.get("rules", ()):
            if rule == leases:
                assert document["kind"] == "Role"
                continue
            assert rule["verbs"] == ["list", "watch"]
            granted |= {(group, resource) for group in rule["apiGroups"] for resource in rule["resources"]}
    older = [resource for api in ENDPOINT_SLICES.older for resource in api]
    watched = {
        (resource.group_version.rpartition("/")[0], resource.plural)
        for resource in (SERVICES, ENDPOINT_SLICES, *older, NAMESPACES, PODS, *PREFIXES, *ROUTES)
    }
    assert granted == watched
