"""Requests to answers: paths, verbs, bodies.

    /api/v1/PLURAL                       /apis/GROUP/VERSION/PLURAL                       over the whole cluster
    /api/v1/PLURAL/NAME                  ...                                              without namespaces
    /api/v1/namespaces/NS/PLURAL         ...
    /api/v1/namespaces/NS/PLURAL/NAME    ...

    GET list, watch, get    POST create    PUT update    PATCH patch    DELETE delete, deletecollection

Subresources, server-side apply, dry runs and finalizers are not served, and say so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import hdrs, web
from msgspec import Struct

from tests.apiserver.access import Access
from tests.apiserver.admission import Admission
from tests.apiserver.counters import Counters
from tests.apiserver.discovery import document
from tests.apiserver.faults import Fault, Faults, Hang, Refuse, Reset, Say, Stall
from tests.apiserver.listing import Options, page, parse_options
from tests.apiserver.output import Ended, Output, strike
from tests.apiserver.patches import JSON, MERGE, STRATEGIC, patched
from tests.apiserver.resources import BY_PATH, NAMESPACES, SERVED, Object, Resource
from tests.apiserver.status import (
    Failure,
    already_exists,
    bad_request,
    conflict,
    details_of,
    no_such_path,
    not_found,
)
from tests.apiserver.store import Entry, Store
from tests.apiserver.watching import Watch, WatchSettings

JSON_TYPE = "application/json"
_PROTOBUF = "protobuf"
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_MESSAGES = {
    429: "too many requests, please try again later",
    500: "Internal error occurred: injected by the test",
    503: "the server is currently unable to handle the request",
}


class Target(Struct, frozen=True):
    """What a path names."""

    resource: Resource
    namespace: str
    name: str


def parse_path(path: str, served: Sequence[Resource] = SERVED) -> Target:
    """What a path below /api or /apis names; raises Failure (404)."""
    match path.strip("/").split("/"):
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            raise no_such_path()
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    resource = BY_PATH.get((group, version, rest[0])) if rest else None
    if resource not in served or resource is None or len(rest) > 2 or (namespace and not resource.namespaced):
        raise no_such_path()
    name = rest[1] if len(rest) == 2 else ""
    if name and resource.namespaced and not namespace:
        raise no_such_path()
    return Target(resource, namespace, name)


class Handlers:
    """Answers requests out of a store."""

    def __init__(
        self,
        store: Store,
        admission: Admission,
        access: Access,
        faults: Faults,
        counters: Counters,
        watch_settings: WatchSettings,
    ) -> None:
        self.outputs: set[Output] = set()
        """Lists and watches that are being sent now."""
        self._store = store
        self._admission = admission
        self._access = access
        self._faults = faults
        self._counters = counters
        self._watch_settings = watch_settings
        self.without: frozenset[str] = frozenset()
        """See ApiServer.without."""

    @property
    def served(self) -> list[Resource]:
        """The resources that there are."""
        return [each for each in SERVED if not {each.group, each.api_version} & self.without]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        try:
            return await self._handle(request)
        except Failure as failure:
            self._counters.refused[failure.code] += 1
            headers = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
            return _json(failure.status, failure.code, headers)
        except Ended:
            return web.Response()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        certificate = None if request.transport is None else request.transport.get_extra_info("peercert")
        user = self._access.authenticate(request.headers.get(hdrs.AUTHORIZATION, ""), certificate)
        params: Mapping[str, str] = dict(request.query)
        if request.path == "/openapi/v2" and _PROTOBUF in request.headers.get(hdrs.ACCEPT, ""):
            # No octets are a valid OpenAPI document in protobuf: one that knows no kind, so nothing is validated.
            return web.Response(headers={"Content-Type": "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"})
        if "/apis" in self.without and request.path.split("/")[1] == "apis" and request.path.count("/") < 4:
            raise no_such_path()
        served = self.served
        found = document(request.path, served, self._watch_settings.git_version)
        if found is not None:
            self._counters.ask("discovery", "", "", "", params, user.name)
            return await self._discovery(request, found)
        target = parse_path(request.path, served)
        resource, namespace, name = target.resource, target.namespace, target.name
        verb = _verb(request.method, name, params)
        self._counters.ask(verb, resource.plural, namespace, name, params, user.name)
        scope = name if resource is NAMESPACES else namespace  # a namespace is also in itself, for access rules
        self._access.authorise(user, verb, resource, scope, name)
        streamed = ("stream",) if verb == "watch" and "sendInitialEvents" in params else ()
        fault = self._faults.take(resource.plural, verb, *streamed)
        match fault:
            case Refuse(code, retry_after, message):
                text = message or _MESSAGES.get(code, "injected by the test")
                raise Failure(code, _REASONS.get(code, "InternalError"), text, None, retry_after)
            case Stall() | Hang() | Reset() if verb not in ("list", "watch"):
                await strike(request, fault)
        if params.get("dryRun"):
            raise bad_request("dryRun is not served here")
        match verb:
            case "list" | "watch":
                options = parse_options(params, namespace, name, self._watch_settings.streaming_lists)
                if options.watch:
                    return await self._watch(request, resource, options, fault)
                return await self._list(request, resource, options, fault)
            case "get":
                return _object(resource, self._existing(target))
            case "create":
                return self._create(target, await _body(request))
            case "update":
                return self._update(target, await _body(request))
            case "patch":
                return await self._patch(target, request)
            case "delete":
                return self._delete(target, await _body(request) if request.can_read_body else {})
            case _:
                options = parse_options(params, namespace, "", True)
                return self._delete_collection(resource, options)

    async def _discovery(self, request: web.Request, found: Object) -> web.Response:
        fault = self._faults.take("discovery", "get")
        match fault:
            case Refuse(code, retry_after, message):
                raise Failure(code, _REASONS.get(code, "InternalError"), message, None, retry_after)
            case Say(octets):
                return web.Response(body=octets, content_type=JSON_TYPE)
            case Stall() | Hang() | Reset():
                await strike(request, fault)
        return _json(found)

    def _existing(self, target: Target) -> Entry:
        entry = self._store.get(target.resource, target.namespace, target.name)
        if entry is None:
            raise not_found(target.resource, target.name)
        return entry

    async def _list(
        self, request: web.Request, resource: Resource, options: Options, fault: Fault | None
    ) -> web.StreamResponse:
        found = page(self._store[resource], self._store.resource_version, options)
        metadata: Object = {"resourceVersion": str(found.resource_version)}
        if found.continue_token:
            metadata["continue"] = found.continue_token
        if found.remaining is not None:
            metadata["remainingItemCount"] = found.remaining
        head = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata}
        opening = msgspec.json.encode(head)[:-1] + b',"items":['
        output = Output(request, self._counters, resource.plural, fault, opening, b",")
        entries = [] if output.empty else found.entries
        self.outputs.add(output)
        try:
            await output.start()
            octets = [entry.full(resource) if resource.custom else entry.octets for entry in entries]
            await output.send(octets)
            await output.finish(b"]}\n")
            self._counters.objects[resource.plural] += len(octets)
        except Ended:
            pass
        finally:
            self.outputs.discard(output)
        return output.response

    async def _watch(
        self, request: web.Request, resource: Resource, options: Options, fault: Fault | None
    ) -> web.StreamResponse:
        watch = Watch(self._store, resource, options, self._watch_settings)
        output = Output(request, self._counters, resource.plural, fault)
        self.outputs.add(output)
        try:
            await output.start()
            await watch.run(output)
            await output.finish()
        except Ended:
            pass
        finally:
            self.outputs.discard(output)
        return output.response

    def _create(self, target: Target, value: Object) -> web.Response:
        resource = target.resource
        if target.name or (resource.namespaced and not target.namespace):
            raise no_such_path()
        named = value.get("metadata")
        name = named.get("name", "") if isinstance(named, dict) else ""
        if name and self._store.get(resource, target.namespace, name) is not None:
            raise already_exists(resource, name)
        change = self._store.put(resource, self._admission.create(resource, target.namespace, value))
        return _object(resource, change.entry, 201)

    def _update(self, target: Target, value: Object) -> web.Response:
        entry = self._existing(target)
        changed = self._admission.update(target.resource, entry, value)
        if changed is None:
            return _object(target.resource, entry)
        return _object(target.resource, self._store.put(target.resource, changed).entry)

    async def _patch(self, target: Target, request: web.Request) -> web.Response:
        resource = target.resource
        accepted = (JSON, MERGE) if resource.custom else (JSON, MERGE, STRATEGIC)
        patch = await _decoded(request, accepted)
        current = {"kind": resource.kind, "apiVersion": resource.api_version, **self._existing(target).object()}
        return self._update(target, patched(request.content_type, current, patch, resource.kind))

    def _delete(self, target: Target, options: Object) -> web.Response:
        resource, entry = target.resource, self._existing(target)
        uid = entry.object()["metadata"].get("uid")
        preconditions = options.get("preconditions") or {}
        if preconditions.get("uid", uid) != uid or (
            preconditions.get("resourceVersion", str(entry.resource_version)) != str(entry.resource_version)
        ):
            raise conflict(resource, target.name)
        self._remove(resource, entry)
        details = details_of(resource, target.name, uid=uid)
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})

    def _delete_collection(self, resource: Resource, options: Options) -> web.Response:
        found = page(self._store[resource], self._store.resource_version, options)
        for entry in found.entries:
            self._remove(resource, entry)
        metadata = {"resourceVersion": str(self._store.resource_version)}
        items = [msgspec.Raw(entry.octets) for entry in found.entries]
        kinds = {"kind": resource.list_kind, "apiVersion": resource.api_version}
        return _json({**kinds, "metadata": metadata, "items": items})

    def _remove(self, resource: Resource, entry: Entry) -> None:
        if resource is NAMESPACES:
            for inside, other in self._store.everything_in(entry.name):
                self._remove(inside, other)
        self._store.delete(resource, entry)
        self._admission.deleted(resource, entry)


def _verb(method: str, name: str, params: Mapping[str, str]) -> str:
    if method == hdrs.METH_GET:
        if params.get("watch", "").lower() in ("1", "t", "true"):
            return "watch"
        return "get" if name else "list"
    verbs = {
        (hdrs.METH_POST, False): "create",
        (hdrs.METH_PUT, True): "update",
        (hdrs.METH_PATCH, True): "patch",
        (hdrs.METH_DELETE, True): "delete",
        (hdrs.METH_DELETE, False): "deletecollection",
    }
    if (method, bool(name)) not in verbs:
        raise Failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    return verbs[method, bool(name)]


async def _body(request: web.Request) -> Object:
    value = await _decoded(request, (JSON_TYPE,))
    if not isinstance(value, dict):
        raise bad_request("the body of the request is not an object")
    return value


async def _decoded(request: web.Request, accepted: tuple[str, ...]) -> Any:
    if request.content_type not in accepted:
        message = "the body of the request was in an unknown format - accepted media types include: "
        raise Failure(415, "UnsupportedMediaType", message + ", ".join(accepted))
    try:
        return msgspec.json.decode(await request.read())
    except msgspec.DecodeError as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error


def _object(resource: Resource, entry: Entry, status: int = 200) -> web.Response:
    return web.Response(status=status, body=entry.full(resource) + b"\n", content_type=JSON_TYPE)


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value) + b"\n"
    return web.Response(status=status, body=body, content_type=JSON_TYPE, headers=headers or {})
