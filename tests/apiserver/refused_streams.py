"""Every way in which an API server refuses a streaming list, as faults of the test server."""

from tests.apiserver.faults import Cut, End, Fault, Hang, NoEnd, Refuse, Reset, Say, Stall

ETCD_34 = "a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled"


def error_event(code: int, after: int = 3) -> Say:
    """An ERROR event."""
    return Say(b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":%d}}\n' % code, after)


WAYS: dict[str, Fault | None] = {
    "none": None,
    "HTTP 500 of etcd 3.4": Refuse(500, message=ETCD_34),
    **{f"HTTP {code}": Refuse(code) for code in (400, 403, 404, 410, 422, 429, 503, 504)},
    "HTTP 429, Retry-After": Refuse(429, retry_after=60),
    **{f"ERROR event {code}": error_event(code) for code in (410, 500, 504)},
    "garbage": Say(b"\xff\x00garbage\n"),
    "sendInitialEvents ignored": NoEnd(),
    "the end, too soon": End(after=3),
    "half an object, then the end": Cut(after=3, clean=True),
    "a broken body": Cut(after=3),
    "a reset": Reset(after=3),
    "silence before headers": Stall(headers=False),
    "silence after headers": Stall(),
    "silence after objects": Stall(after=3),
    "a host that is gone": Hang(after=3),
}
