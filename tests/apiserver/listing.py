"""The options of a list or watch, and one page of a list.

A page is of the version that its list began with, as long as the history reaches back to it; after that, 410 with a
token that continues with the state of now (as etcd's compaction makes it).
"""

import base64
import binascii
from bisect import bisect_left
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from tests.apiserver.selectors import Selector, parse_fields, parse_labels
from tests.apiserver.status import Failure, bad_request, invalid, too_large
from tests.apiserver.store import Collection, Entry

FORBIDDEN = "FieldValueForbidden"


class Options(Struct, frozen=True):
    """`ListOptions` of apimachinery."""

    selector: Selector
    watch: bool
    limit: int
    continue_token: str
    resource_version: str
    match: str
    """`resourceVersionMatch`: empty, Exact or NotOlderThan."""
    bookmarks: bool
    timeout: int | None
    """Seconds."""
    initial_events: bool | None
    """`sendInitialEvents`."""

    @property
    def version(self) -> int:
        """`resource_version` as a number; 0 when it is not given."""
        return int(self.resource_version or 0)


class Page(Struct, frozen=True):
    """One page of a list."""

    entries: list[Entry]
    resource_version: int
    continue_token: str = ""
    remaining: int | None = None


class _Continue(Struct, frozen=True):
    """The content of a continue token."""

    v: str
    rv: int
    """-1: whatever is there now."""
    start: str


def parse_options(query: Mapping[str, str], namespace: str, name: str, streaming_lists: bool) -> Options:
    """The options in a query; raises Failure (400, 422)."""
    fields = parse_fields(query.get("fieldSelector", ""))
    if name:
        fields = (*fields, *parse_fields(f"metadata.name={name}"))
    options = Options(
        Selector(namespace, parse_labels(query.get("labelSelector", "")), fields),
        watch=_flag(query, "watch") or False,
        limit=_number(query, "limit") or 0,
        continue_token=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
        bookmarks=_flag(query, "allowWatchBookmarks") or False,
        timeout=_number(query, "timeoutSeconds"),
        initial_events=_flag(query, "sendInitialEvents"),
    )
    if options.resource_version and not options.resource_version.isdecimal():
        text = f'Invalid value: "{options.resource_version}": invalid resource version'
        raise invalid("meta.k8s.io", "ListOptions", "", ("resourceVersion", "FieldValueInvalid", text))
    faults = _watch_faults(options, streaming_lists) if options.watch else _list_faults(options)
    if faults:
        raise invalid("meta.k8s.io", "ListOptions", "", *faults)
    return options


def _watch_faults(options: Options, streaming_lists: bool) -> list[tuple[str, str, str]]:
    faults = []
    if options.initial_events is not None:
        if options.match != "NotOlderThan":
            text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            faults.append(("resourceVersionMatch", FORBIDDEN, f"Forbidden: {text}"))
        if not streaming_lists:
            text = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            faults.append(("sendInitialEvents", FORBIDDEN, f"Forbidden: {text}"))
    elif options.match:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        faults.append(("resourceVersionMatch", FORBIDDEN, f"Forbidden: {text}"))
    return faults


def _list_faults(options: Options) -> list[tuple[str, str, str]]:
    texts = []
    if options.match:
        if not options.resource_version:
            texts.append("Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided")
        if options.continue_token:
            texts.append("Forbidden: resourceVersionMatch is forbidden when continue is provided")
        if options.match not in ("Exact", "NotOlderThan"):
            texts.append(f'Unsupported value: "{options.match}": supported values: "Exact", "NotOlderThan", ""')
        if options.match == "Exact" and options.resource_version == "0":
            texts.append('Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    faults = [
        ("resourceVersionMatch", FORBIDDEN if text[0] == "F" else "FieldValueNotSupported", text) for text in texts
    ]
    if options.initial_events is not None:
        text = "Forbidden: sendInitialEvents is forbidden for list"
        faults.append(("sendInitialEvents", FORBIDDEN, text))
    return faults


def page(collection: Collection, current: int, options: Options) -> Page:
    """The page that a list asks for; `current` is the store's version. Raises Failure (400, 410, 504)."""
    limit, start, version = options.limit, "", current
    if options.continue_token:
        if options.version:
            raise bad_request("specifying resource version is not allowed when using continue")
        token = _decode(options.continue_token)
        start = token.start
        version = current if token.rv < 0 else token.rv
    elif options.version:
        if options.version > current:
            raise too_large(options.version, current)
        exact = options.match == "Exact" or (limit and not options.match)
        version = options.version if exact else current
    elif options.resource_version == "0":
        limit = 0  # the watch cache answers, which has no pages
    try:
        keys, entries = collection.at(version)
    except Failure as failure:
        raise _expired(start) from failure
    keys = _within(keys, options.selector.namespace, start)
    if options.selector.narrow:
        matches = options.selector.matches
        chosen = [entries[key] for key in keys]
        chosen = [entry for entry in chosen if matches(entry.namespace, entry.name, entry.labels)]
        keys = [entry.key for entry in chosen]
    if not limit or len(keys) <= limit:
        return Page([entries[key] for key in keys], version)
    kept = keys[:limit]
    remaining = None if options.selector.narrow else len(keys) - limit
    return Page([entries[key] for key in kept], version, _encode(version, kept[-1] + "\0"), remaining)


def _within(keys: list[str], namespace: str, start: str) -> list[str]:
    first, end = 0, len(keys)
    if namespace:
        first, end = bisect_left(keys, f"{namespace}/"), bisect_left(keys, f"{namespace}0")  # "0" follows "/"
    return keys[max(first, bisect_left(keys, start)) : end]


def _expired(start: str) -> Failure:
    if not start:
        return Failure(410, "Expired", "The resourceVersion for the provided list is too old.")
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
        "the results. Continuing with the provided token results in an inconsistent list - objects that were "
        "created, modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    return Failure(410, "Expired", message, continue_token=_encode(-1, start))


def _encode(version: int, start: str) -> str:
    octets = msgspec.json.encode(_Continue("meta.k8s.io/v1", version, start))
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _decode(token: str) -> _Continue:
    try:
        octets = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        return msgspec.json.decode(octets, type=_Continue)
    except (binascii.Error, ValueError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error


def _flag(query: Mapping[str, str], key: str) -> bool | None:
    value = query.get(key)
    return None if value is None else value.lower() in ("1", "t", "true")


def _number(query: Mapping[str, str], key: str) -> int | None:
    value = query.get(key)
    if not value:
        return None
    if not value.isdecimal():
        raise bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax ({key})')
    return int(value)
