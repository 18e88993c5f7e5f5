"""The pure parts of the watch: lines, delays, refusals, paths."""

import errno
import random
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import msgspec
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.backoff import FACTOR, FIRST, LONGEST, Backoff
from dnsbridge.cluster.objects import Key
from dnsbridge.watch.api import frames
from dnsbridge.watch.api.connection import CannotConnect
from dnsbridge.watch.api.refusal import MAX_RETRY_AFTER, Refused, refusal_of, unreachable
from dnsbridge.watch.api.resources import ENDPOINT_SLICES, NAMESPACES, PODS, PREFIXES, ROUTES, SERVICES, Resource

OCTETS = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b" ", b"{}", b"\xff"]), max_size=40).map(b"".join)


@given(OCTETS, st.data())
def test_lines(stream: bytes, data: st.DataObject) -> None:
    """However a stream is cut up, its lines are the same; the part after the last newline is none yet."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    lines = frames.Lines()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += lines.feed(stream[start:end])
    assert found == [line for line in stream.split(b"\n")[:-1] if line.strip()]
    assert lines.feed(b"|\n") == [stream.rpartition(b"\n")[2] + b"|"]


def test_line_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line without end is given up at its bound, in however many parts it comes; long streams of lines are not."""
    monkeypatch.setattr(frames, "MAX_LINE", 10)
    lines = frames.Lines()
    assert lines.feed(b"0123456789") == []
    assert lines.feed(b"\n" + b"0123\n" * 10) == [b"0123456789"] + [b"0123"] * 10
    for _ in range(10):
        assert lines.feed(b"x") == []
    with pytest.raises(frames.LineTooLong):
        lines.feed(b"x")


@given(st.integers(0, 2**32))
def test_backoff_bounds(seed: int) -> None:
    """Each delay lies between half of its bound and the bound, which doubles up to the longest."""
    backoff = Backoff(random.Random(seed).random)
    bound = FIRST
    for _ in range(12):
        assert bound / 2 <= backoff.delay() <= bound
        bound = min(bound * FACTOR, LONGEST)
    assert bound == LONGEST
    backoff.succeeded()
    assert backoff.delay() <= FIRST


@given(st.integers(0, 2**32), st.floats(0, 300))
def test_backoff_retry_after(seed: int, asked: float) -> None:
    """What the server asked for is never undercut, and exceeded by a quarter at most."""
    backoff = Backoff(random.Random(seed).random)
    delay = backoff.delay(asked)
    assert asked <= delay <= max(asked * 1.25, FIRST)


def test_backoff_jitter() -> None:
    """Those who fail together do not come back together, whether or not they were told when."""
    for asked in (0.0, 10.0):
        delays = [Backoff(random.Random(seed).random).delay(asked) for seed in range(20)]
        assert len({round(delay, 3) for delay in delays}) > 15
        assert max(delays) - min(delays) > 0.3 * max(asked / 4, FIRST)


def status(code: int, message: str = "", reason: str = "") -> bytes:
    """A metav1.Status."""
    return msgspec.json.encode({"kind": "Status", "code": code, "message": message, "reason": reason})


@pytest.mark.parametrize(
    ("code", "body", "follows", "problem"),
    [
        (410, status(410, "too old"), "expired", "HTTP 410: too old"),
        (504, status(504, "Too large resource version: 9, current: 5"), "expired", "HTTP 410: Too large"),
        (403, status(403, 'services is forbidden: User "x"'), "forbidden not_offered", "HTTP 403: services is"),
        (404, b"404 page not found\n", "not_found not_offered", "HTTP 404: no reason given"),
        (401, status(401, "Unauthorized", "Unauthorized"), "of_server unasked", "HTTP 401: Unauthorized"),
        (422, status(422, "sendInitialEvents is forbidden"), "invalid", "HTTP 422: sendInitial"),
        (400, status(400, "unknown parameter"), "invalid", "HTTP 400: unknown"),
        (422, status(422, "invalid resource version"), "invalid", "HTTP 422: invalid"),
        (429, status(429, "", "TooManyRequests"), "", "HTTP 429: TooManyRequests"),
        (500, b"", "away", "HTTP 500: no reason given"),
        (503, b'{"message": 5}', "away", "HTTP 503: no reason given"),
        (502, b"<html>\xff</html>", "away", "HTTP 502: no reason given"),
        (410, b'{"message": "\xff"}', "expired", "HTTP 410: no reason given"),
        (500, status(500, "a\nb\t" + "x" * 1000), "away", "HTTP 500: a b x"),
    ],
)
def test_refusals(code: int, body: bytes, follows: str, problem: str) -> None:
    """What a status means, and the one line that says it."""
    refused = refusal_of(code, {}, body)
    names = ("expired", "forbidden", "not_found", "of_server", "silent", "not_offered", "invalid", "unasked", "away")
    assert {name for name in names if getattr(refused, name)} == set(follows.split())
    assert refused.problem.startswith(problem)
    assert "\n" not in refused.problem
    assert len(refused.problem) < 330
    assert refused.retry_after == 0


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("1", 1, 1),
        ("0", 0, 0),
        ("86400", MAX_RETRY_AFTER, MAX_RETRY_AFTER),
        ("", 0, 0),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("1.5", 0, 0),
        ("٣", 0, 3),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0, 0),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 0, 0),
        ("Sun, 06 Nov 99999 08:49:37 GMT", 0, 0),
    ],
)
def test_retry_after(text: str, low: float, high: float) -> None:
    """Seconds or a date, within bounds; what is neither counts for nothing."""
    assert low <= refusal_of(429, {"Retry-After": text}, b"").retry_after <= high


@pytest.mark.parametrize(("seconds", "low", "high"), [(30, 25, 30), (300_000, MAX_RETRY_AFTER, MAX_RETRY_AFTER)])
def test_retry_after_a_date(seconds: int, low: float, high: float) -> None:
    """A date counts from now, and no longer than the bound."""
    text = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    assert low <= refusal_of(429, {"Retry-After": text}, b"").retry_after <= high


@pytest.mark.parametrize(("seconds", "low", "high"), [(30, 15, 30), (86400, MAX_RETRY_AFTER, MAX_RETRY_AFTER)])
def test_retry_after_date(seconds: int, low: float, high: float) -> None:
    """A date ahead is as many seconds from now."""
    text = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    assert low <= refusal_of(429, {"Retry-After": text}, b"").retry_after <= high


def connector_error(number: int, text: str = "") -> aiohttp.ClientConnectorError:
    """What aiohttp raises when it cannot connect."""
    key = ConnectionKey("192.0.2.1", 6443, True, True, None, None, None)
    return aiohttp.ClientConnectorError(key, OSError(number, text))


def verify_error() -> ssl.SSLCertVerificationError:
    """A certificate that does not verify."""
    error = ssl.SSLCertVerificationError(1, "verify failed")
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "problem", "silent", "of_server"),
    [
        (TimeoutError(), "no sign of life", True, False),
        (aiohttp.SocketTimeoutError("timeout"), "no sign of life", True, False),
        (aiohttp.ConnectionTimeoutError("timeout"), "no connection within 10 s", False, True),
        (connector_error(errno.ECONNREFUSED, "x"), "cannot connect to 192.0.2.1:6443: connection refused", False, True),
        (CannotConnect("kubeconfig x: no such file"), "kubeconfig x: no such file", False, True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "the connection broke", False, True),
        (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), "the connection broke", False, True),
        (aiohttp.ServerDisconnectedError(), "the connection broke", False, True),
        (aiohttp.ClientPayloadError("not\nall"), "the connection broke", False, True),
        (frames.LineTooLong(), "what came is no event: a line without end", False, False),
        (msgspec.DecodeError("bad"), "what came is no event: bad", False, False),
        (msgspec.ValidationError("odd"), "what came is no event: odd", False, False),
        (RuntimeError(), "RuntimeError", False, True),
        (RuntimeError("a\nb"), "RuntimeError: a b", False, True),
    ],
)
def test_unreachable(error: Exception, problem: str, silent: bool, of_server: bool) -> None:
    """What an exception means, and the one line that says it."""
    refused = unreachable(error)
    assert refused.problem == problem
    assert (refused.silent, refused.of_server) == (silent, of_server)
    assert not refused.expired
    assert "\n" not in refused.problem


def test_unreachable_tls() -> None:
    """A certificate that does not verify is named for what is wrong with it."""
    error = OSError("x")
    error.__cause__ = verify_error()
    refused = unreachable(error)
    assert (refused.problem, refused.of_server) == ("TLS: certificate has expired", True)


def test_refused_is_plain() -> None:
    """A refusal of our own has no consequences but a wait."""
    refused = Refused("odd")
    names = ("expired", "forbidden", "not_found", "of_server", "unasked", "away", "silent", "invalid")
    assert not any(getattr(refused, name) for name in names)


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (SERVICES, "/api/v1/services"),
        (ENDPOINT_SLICES, "/apis/discovery.k8s.io/v1/endpointslices"),
        (NAMESPACES, "/api/v1/namespaces"),
        (PODS, "/api/v1/pods"),
        (PREFIXES[0], "/apis/networking.k8s.io/v1/servicecidrs"),
        (PREFIXES[1], "/api/v1/nodes"),
        (PREFIXES[2], "/apis/crd.projectcalico.org/v1/ippools"),
        (PREFIXES[3], "/api/v1/namespaces/kube-system/configmaps"),
        (ROUTES[4], "/apis/cilium.io/v2/ciliumnodes"),
        (ROUTES[5], "/api/v1/namespaces/kube-flannel/configmaps"),
    ],
)
def test_paths(resource: Resource, path: str) -> None:
    """Each resource is where the API has it."""
    assert resource.path == path
    selected = f"fieldSelector=metadata.name%3D{resource.name}" if resource.name else ""
    assert resource.query() == f"{path}?{selected}"
    assert resource.query(limit=500) == f"{path}?limit=500" + (f"&{selected}" if selected else "")


def test_query_selectors() -> None:
    """Selectors and continue tokens are encoded: nothing in them can become a parameter of its own."""
    resource = msgspec.structs.replace(SERVICES, labels="app in (a,b),!x", fields="metadata.namespace!=a&limit=1")
    assert resource.query(**{"continue": "a+/=&b c"}) == (
        "/api/v1/services?continue=a%2B%2F%3D%26b%20c"
        "&labelSelector=app%20in%20%28a%2Cb%29%2C%21x&fieldSelector=metadata.namespace%21%3Da%26limit%3D1"
    )


def test_rules() -> None:
    """The rule that a role must grant, as RBAC spells it."""
    assert SERVICES.rule() == 'apiGroups: [""], resources: ["services"], verbs: ["list", "watch"]'
    assert ENDPOINT_SLICES.rule() == (
        'apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"]'
    )
    assert ENDPOINT_SLICES.holds(Key("EndpointSlice", "a", "b"))
    assert not ENDPOINT_SLICES.holds(Key("Service", "a", "b"))
