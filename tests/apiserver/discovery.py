"""What clients ask before they ask for resources: versions, groups, resources, a little OpenAPI.

`served` are the resources that the server has; an older server has fewer of them.

The OpenAPI documents promise only that the server itself validates fields, so that kubectl does not want schemas.
"""

from collections.abc import Sequence

from tests.apiserver.resources import Object, Resource
from tests.apiserver.status import no_such_path

GIT_VERSION = "v1.33.1"
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def document(path: str, served: Sequence[Resource], git_version: str = GIT_VERSION) -> Object | None:
    """The document at a path, or None when the path is none of discovery's; raises Failure (404) below /apis."""
    parts = path.strip("/").split("/")
    match parts:
        case ["version"]:
            major, minor, _ = git_version.removeprefix("v").split(".", 2)
            return {"major": major, "minor": minor, "gitVersion": git_version, "platform": "linux/amd64"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_group(group, served) for group in _versions(served)],
            }
        case ["api", version]:
            return _resources("", version, served)
        case ["apis", group]:
            if group not in _versions(served):
                raise no_such_path()
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, served)}
        case ["apis", group, version]:
            return _resources(group, version, served)
        case ["openapi", "v3"]:
            paths = {_path(resource): {"serverRelativeURL": f"/openapi/v3/{_path(resource)}"} for resource in served}
            return {"paths": paths}
        case ["openapi", "v3", *rest]:
            return _openapi("/".join(rest), served)
    return None


def _versions(served: Sequence[Resource]) -> dict[str, list[str]]:
    """The named groups, and the versions of each, the preferred one first."""
    found: dict[str, list[str]] = {}
    for resource in served:
        if resource.group and resource.version not in found.setdefault(resource.group, []):
            found[resource.group].append(resource.version)
    return found


def _group(group: str, served: Sequence[Resource]) -> Object:
    named = [{"groupVersion": f"{group}/{version}", "version": version} for version in _versions(served)[group]]
    return {"name": group, "versions": named, "preferredVersion": named[0]}


def _resources(group: str, version: str, served: Sequence[Resource]) -> Object:
    found = [resource for resource in served if (resource.group, resource.version) == (group, version)]
    if not found:
        raise no_such_path()
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": [
            {
                "name": resource.plural,
                "singularName": resource.kind.lower(),
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": _VERBS,
                **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
            }
            for resource in found
        ],
    }


def _path(resource: Resource) -> str:
    return f"{'apis' if resource.group else 'api'}/{resource.api_version}"


def _openapi(path: str, served: Sequence[Resource]) -> Object:
    found = [resource for resource in served if _path(resource) == path]
    if not found:
        raise no_such_path()
    paths = {}
    for resource in found:
        folder = "namespaces/{namespace}/" if resource.namespaced else ""
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
        operation = {"x-kubernetes-group-version-kind": kind, "parameters": [parameter], "responses": {}}
        paths[f"/{path}/{folder}{resource.plural}/{{name}}"] = {"patch": operation}
    info = {"title": "Kubernetes", "version": GIT_VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}
