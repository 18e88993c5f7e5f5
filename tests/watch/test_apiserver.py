"""The test API server itself, asked with plain HTTP: pages, watches, their ends, access, seeds."""

import asyncio
import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.apiserver.access import READER, Rule, User
from tests.apiserver.client import BROKEN, SERVICES, SLICES, Client, run, service, serving
from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer, in_thread
from tests.support.driven_loop import clock
from tests.support.waiting import until


def test_pages_of_one_version() -> None:
    """Pages are of the version that the first was of, whatever happens in between."""

    async def test() -> None:
        async with serving(1000) as client:
            _, page = await client.ask(SERVICES, limit=300)
            version = page["metadata"]["resourceVersion"]
            assert page["metadata"]["remainingItemCount"] == 700
            names = [item["metadata"]["name"] for item in page["items"]]
            assert "kind" not in page["items"][0]
            client.server.change(put=[service("svc-0500-new"), service("svc-0600")], delete=[service("svc-0999")])
            while token := page["metadata"].get("continue"):
                _, page = await client.ask(SERVICES, **{"limit": 300, "continue": token})
                assert page["metadata"]["resourceVersion"] == version
                names += [item["metadata"]["name"] for item in page["items"]]
            assert names == [f"svc-{number:04}" for number in range(1000)]
            _, now = await client.ask("/api/v1/namespaces/default/services", labelSelector="!parity")
            assert [item["metadata"]["name"] for item in now["items"]] == ["svc-0500-new", "svc-0600"]
            _, nothing = await client.ask("/api/v1/namespaces/kube-system/services")
            assert nothing["items"] == []
            _, then = await client.ask(SERVICES, resourceVersion=version, resourceVersionMatch="Exact")
            assert len(then["items"]) == 1000

    run(test())


def test_a_page_after_compaction() -> None:
    """A token of a compacted version gets 410, and with it a token for the rest as it is now."""

    async def test() -> None:
        async with serving(10) as client:
            _, page = await client.ask(SERVICES, limit=4)
            client.server.change(delete=[service("svc-0005")])
            client.server.compact("services")
            status, gone = await client.ask(SERVICES, **{"limit": 4, "continue": page["metadata"]["continue"]})
            assert (status, gone["reason"]) == (410, "Expired")
            _, rest = await client.ask(SERVICES, **{"continue": gone["metadata"]["continue"]})
            assert [item["metadata"]["name"][-1] for item in rest["items"]] == ["4", "6", "7", "8", "9"]
            version = page["metadata"]["resourceVersion"]
            assert (await client.ask(SERVICES, resourceVersion=version, resourceVersionMatch="Exact"))[0] == 410

    run(test())


@pytest.mark.parametrize(
    ("params", "status", "message"),
    [
        ({"limit": "x"}, 400, "ParseInt"),
        ({"continue": "!"}, 400, "continue key is not valid"),
        ({"labelSelector": "a b"}, 400, "unable to parse requirement"),
        ({"fieldSelector": "spec.type=ClusterIP"}, 400, "field label not supported: spec.type"),
        ({"resourceVersion": "x"}, 422, "invalid resource version"),
        ({"resourceVersion": "999999"}, 504, "Too large resource version"),
        ({"resourceVersionMatch": "Exact"}, 422, "forbidden unless resourceVersion is provided"),
        ({"sendInitialEvents": "true"}, 422, "sendInitialEvents is forbidden for list"),
        ({"watch": "1", "sendInitialEvents": "true"}, 422, "requires setting resourceVersionMatch to NotOlderThan"),
        ({"watch": "1", "resourceVersionMatch": "NotOlderThan"}, 422, "unless sendInitialEvents is provided"),
        ({"watch": "1", "resourceVersion": "999999"}, 504, "Too large resource version"),
    ],
)
def test_options_that_do_not_fit(params: dict[str, str], status: int, message: str) -> None:
    """Options are checked as a real server checks them."""

    async def test() -> None:
        async with serving() as client:
            answered, body = await client.ask(SERVICES, **params)
            assert (answered, body["kind"]) == (status, "Status")
            assert message in body["message"]

    run(test())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothings", 404),
        ("GET", "/apis/nowhere/v1", 404),
        ("GET", f"{SERVICES}/web", 404),
        ("GET", "/api/v1/namespaces/default/services/web/status", 404),
        ("GET", "/api/v1/namespaces/default/services/web", 404),
        ("POST", "/api/v1/namespaces/default/services/web", 405),
        ("PUT", "/api/v1/namespaces/default/services", 405),
    ],
)
def test_paths_that_do_not_fit(method: str, path: str, status: int) -> None:
    """What is not there is not there, and what cannot be done is not allowed."""

    async def test() -> None:
        async with serving() as client:
            answered, body = await client.ask(path, method)
            assert (answered, body["code"], body["kind"]) == (status, status, "Status")

    run(test())


def test_watch_from_a_version() -> None:
    """Every change since the version comes once and in order, with kinds; a selector sees objects come and go."""

    async def test() -> None:
        async with serving(2) as client:
            _, listed = await client.ask(SERVICES)
            version = listed["metadata"]["resourceVersion"]
            client.server.change(put=[service("a"), service("a", parity="odd")])
            odd = client.watch(resourceVersion=version, labelSelector="parity=odd")
            async with client.watch(resourceVersion=version) as all_of_them, odd as selected:
                assert await all_of_them.names(2) == ["ADDED a", "MODIFIED a"]
                assert await selected.names(1) == ["ADDED a"]
                change = client.server.change(put=[service("svc-0001"), service("svc-0000")], delete=[service("a")])
                assert await all_of_them.names(2) == ["MODIFIED svc-0001", "MODIFIED svc-0000"]
                deleted = await all_of_them.event()
                assert deleted["type"] == "DELETED"
                assert deleted["object"]["kind"] == "Service"
                assert deleted["object"]["metadata"]["resourceVersion"] == str(change[-1].resource_version)
                assert await selected.names(2) == ["DELETED svc-0001", "DELETED a"]
                assert client.server.streams("services") == 2
            await until(lambda: not client.server.streams())

    run(test())


def test_watch_without_a_version_and_its_end() -> None:
    """Without a version a watch begins with what is there; timeoutSeconds ends it."""

    async def test() -> None:
        async with serving(2) as client, client.watch(timeoutSeconds=1) as stream:
            assert await stream.names(2) == ["ADDED svc-0000", "ADDED svc-0001"]
            assert await stream.line() == b""

    run(test())


def test_bookmarks() -> None:
    """Bookmarks carry the version of everything so far, of other resources too, and come only when asked for."""

    async def test() -> None:
        async with serving(1) as client:
            client.server.watches.bookmark_interval = 0.05
            version = str(client.server.store.resource_version)
            async with client.watch(resourceVersion=version) as without_bookmarks:
                async with client.watch(resourceVersion=version, allowWatchBookmarks="true") as stream:
                    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
                    (change,) = client.server.change(put=[namespace])
                    bookmark = await stream.event()
                    while bookmark["object"]["metadata"]["resourceVersion"] == version:
                        bookmark = await stream.event()
                    assert (bookmark["type"], bookmark["object"]["kind"]) == ("BOOKMARK", "Service")
                    assert bookmark["object"]["metadata"]["resourceVersion"] == str(change.resource_version)
                assert await without_bookmarks.silent()

    run(test())


def test_streaming_list() -> None:
    """Initial events end with the marked bookmark, and changes follow; an older server refuses."""

    async def test() -> None:
        async with serving(3) as client:
            wanted = {
                "sendInitialEvents": "true",
                "resourceVersionMatch": "NotOlderThan",
                "allowWatchBookmarks": "true",
            }
            async with client.watch(**wanted) as stream:
                assert await stream.names(3) == ["ADDED svc-0000", "ADDED svc-0001", "ADDED svc-0002"]
                end = await stream.event()
                assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
                assert end["object"]["metadata"]["resourceVersion"] == str(client.server.store.resource_version)
                client.server.change(delete=[service("svc-0002")])
                assert await stream.names(1) == ["DELETED svc-0002"]
            client.server.watches.streaming_lists = False
            status, refused = await client.ask(SERVICES, watch=1, **wanted)
            assert (status, refused["reason"]) == (422, "Invalid")
            assert refused["details"]["causes"][0]["field"] == "sendInitialEvents"

    run(test())


def test_watch_of_a_compacted_version() -> None:
    """It gets 410: as an event, or as the status; a watch that is up to date is not disturbed."""

    async def test() -> None:
        async with serving(1) as client:
            version = str(client.server.store.resource_version)
            async with client.watch(resourceVersion=version) as lasting:
                client.server.change(put=[service("a")])
                assert await lasting.names(1) == ["ADDED a"]
                client.server.compact()
                async with client.watch(resourceVersion=version) as stream:
                    error = await stream.event()
                    assert (error["type"], error["object"]["code"]) == ("ERROR", 410)
                    assert await stream.line() == b""
                client.server.watches.gone_as_status = True
                status, body = await client.ask(SERVICES, watch=1, resourceVersion=version)
                assert (status, body["reason"]) == (410, "Expired")
                client.server.change(put=[service("b")])
                assert await lasting.names(1) == ["ADDED b"]

    run(test())


def test_thousands_of_changes() -> None:
    """3,000 changes reach a watch over TLS in order, and each has the time at which it was made."""

    async def test() -> None:
        async with serving(tls=True) as client, client.watch() as stream:
            before = clock()
            changes = [client.server.change(put=[service(f"svc-{number}")])[0] for number in range(3000)]
            versions = [(await stream.event())["object"]["metadata"]["resourceVersion"] for _ in changes]
            assert versions == [str(change.resource_version) for change in changes]
            assert before <= changes[0].at <= changes[-1].at <= clock()
            assert client.server.counters.events["services"] == 3000

    run(test())


def test_locks_and_preconditions() -> None:
    """Metadata is the server's, stale versions conflict, and a change of nothing is none."""

    async def test() -> None:
        async with serving() as client:
            path = "/apis/crd.projectcalico.org/v1/ippools"
            pool = {"metadata": {"generateName": "pool-", "uid": "mine"}, "spec": {"cidr": "10.128.0.0/9"}}
            status, made = await client.ask(path, "POST", pool)
            metadata = made["metadata"]
            assert (status, made["kind"], metadata["generation"]) == (201, "IPPool", 1)
            assert metadata["uid"] != "mine"
            one = f"{path}/{metadata['name']}"
            _, same = await client.ask(one, "PUT", made)
            assert same["metadata"]["resourceVersion"] == metadata["resourceVersion"]
            _, next_one = await client.ask(one, "PUT", {**made, "spec": {"cidr": "10.0.0.0/8"}})
            assert next_one["metadata"]["generation"] == 2
            assert int(next_one["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"])
            status, refused = await client.ask(one, "PUT", made)
            assert (status, refused["reason"]) == (409, "Conflict")
            assert (await client.ask(one, "DELETE", {"preconditions": {"uid": "other"}}))[0] == 409
            assert (await client.ask(path, "DELETE"))[0] == 200
            assert (await client.ask(path))[1]["items"] == []

    run(test())


def test_tokens_and_rights() -> None:
    """No token, an unknown or expired one: 401. A right that is missing: 403, which names it. Both can change."""

    async def test() -> None:
        async with serving(tls=True) as client:
            access = client.server.access
            token = access.issue(User("viewer"))

            async def status(path: str, token: str) -> tuple[int, str]:
                headers = {"Authorization": f"Bearer {token}"}
                async with client.session.get(client.server.url + path, headers=headers) as response:
                    return response.status, (await response.json()).get("message", "")

            assert await status(SLICES, token) == (
                403,
                'endpointslices.discovery.k8s.io is forbidden: User "viewer" cannot list resource "endpointslices" '
                'in API group "discovery.k8s.io" at the cluster scope',
            )
            access.rules["viewer"] = [Rule(("list",), ("endpointslices.discovery.k8s.io",))]
            assert (await status(SLICES, token))[0] == 200
            assert (await status(f"{SLICES}?watch=1", token))[0] == 403
            access.rules["viewer"] = [READER]
            assert (await status("/api/v1/namespaces/default", token))[0] == 200
            access.expire(token)
            assert await status(SLICES, token) == (401, "Unauthorized")
            assert (await status("/version", access.issue(expires_in=0)))[0] == 401
            assert client.server.counters.refused == {403: 2, 401: 2}

    run(test())


def test_client_certificates(tmp_path: Path) -> None:
    """A server that wants a certificate takes its own authority's and refuses none, and an expired one."""

    async def test() -> None:
        async with ApiServer(client_certificates=True) as server:
            day = timedelta(days=1)
            for not_after, expected in ((None, "200"), (datetime.now(UTC) - day, "refused"), ("none", "refused")):
                assert server.authority is not None
                context = server.authority.client_context()
                if not isinstance(not_after, str):
                    path = server.kubeconfig(tmp_path / "config", credential="certificate", not_after=not_after)
                    user = yaml.safe_load(path.read_text(encoding="utf-8"))["users"][0]["user"]
                    _use(context, user, tmp_path)
                async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
                    try:
                        async with session.get(server.url + SERVICES) as response:
                            outcome = str(response.status)
                    except (*BROKEN, ssl.SSLError):
                        outcome = "refused"
                assert outcome == expected, not_after

    run(test())


def _use(context: ssl.SSLContext, user: dict[str, str], folder: Path) -> None:
    """Give a TLS context the client certificate of a kubeconfig's user."""
    pem = b"".join(base64.b64decode(user[key]) for key in ("client-certificate-data", "client-key-data"))
    (folder / "client.pem").write_bytes(pem)
    context.load_cert_chain(folder / "client.pem")


def test_in_a_thread() -> None:
    """A server in a thread takes changes from another thread, and stops while a watch is stalled."""

    async def watch(server: ApiServer) -> list[str]:
        async with aiohttp.ClientSession() as session, Client(server, session).watch() as stream:
            server.change(put=[service("a")])
            return await stream.names(1)

    with in_thread(ApiServer(tls=False)) as server:
        assert asyncio.run(watch(server)) == ["ADDED a"]


def test_a_large_cluster() -> None:
    """10,000 services and slices with 100,000 endpoints are made, and listed over TLS."""

    async def test() -> None:
        async with serving(tls=True) as client:
            client.server.load(cluster(Shape(services=10_000, headless=1000, endpoints_per_slice=10)))
            async with client.session.get(client.server.url + SLICES) as response:
                octets = await response.read()
            assert octets.count(b'"addresses":') == 100_003
            assert client.server.counters.objects["endpointslices"] == 10_002

    run(test())


def test_the_same_seed_gives_the_same_cluster() -> None:
    """A shape is a cluster: dual-stack services have two slices, ExternalName services none."""
    shape = Shape(services=40, headless=5, external_names=4, dual_stack=6, endpoints_per_slice=2, pods=True)
    objects = list(cluster(shape))
    assert objects == list(cluster(shape))
    assert objects != list(cluster(Shape(services=40, seed=2)))
    kinds = [value["kind"] for value in objects]
    assert [kinds.count(kind) for kind in ("Service", "EndpointSlice", "Pod", "Node")] == [42, 44, 72, 10]
