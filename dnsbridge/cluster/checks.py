"""The checks of single values that the API server would have made, and the words for what is wrong with one.

Each takes a value and its field's path, and raises UnfitError with one sentence: path, what is expected, what is there.
"""

import re
from ipaddress import ip_network
from socket import AF_INET, AF_INET6, inet_pton


class UnfitError(ValueError):
    """A value that the API server would have refused."""


Syntax = tuple[re.Pattern[str], str]
"""What a text must match as a whole, and how a message says it."""

LABEL: Syntax = (
    re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"),
    "a DNS label of a-z, 0-9 and `-`, at most 63 octets",
)
SUBDOMAIN: Syntax = (
    re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"),
    "DNS labels of a-z, 0-9 and `-` with dots between, at most 253 octets",
)
_HOST_NAME: Syntax = (
    re.compile(rf"(?=.{{1,253}}\.?\Z)(?:{LABEL[0].pattern})(?:\.{LABEL[0].pattern})*\.?"),
    "a DNS name in lower case, which is no address",
)
_PREFIX_LENGTH = re.compile(r"[0-9a-f:.]+/[0-9]{1,3}", re.IGNORECASE)
_MAPPED = bytes(10) + b"\xff\xff"


def check(syntax: Syntax, text: str, path: str) -> None:
    """A text has one of the syntaxes above."""
    if not syntax[0].fullmatch(text):
        raise UnfitError(f"{path}: expected {syntax[1]}, got {quoted(text)}")


def check_external_name(text: str) -> None:
    """`spec.externalName`: where a CNAME can point; a final dot is allowed."""
    check(_HOST_NAME, text, "spec.externalName")
    if _packed(text) is not None:
        raise UnfitError(f"spec.externalName: expected {_HOST_NAME[1]}, got {quoted(text)}")


def one_of(text: str, choices: tuple[str, ...], path: str) -> str:
    """The text, which is one of the choices."""
    if text not in choices:
        raise UnfitError(f"{path}: expected one of {', '.join(choices)}, got {quoted(text)}")
    return text


def _packed(text: str) -> bytes | None:
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return None


def packed_address(text: str, path: str) -> bytes:
    """An address, packed. IPv4-mapped ones are refused: they would answer as IPv6 and be IPv4 on the wire."""
    address = _packed(text)
    if address is None:
        raise UnfitError(f"{path}: expected an IP address, got {quoted(text)}")
    if len(address) == 16 and address.startswith(_MAPPED):
        raise UnfitError(f"{path}: expected an IP address that is not IPv4-mapped, got {quoted(text)}")
    return address


def canonical_prefix(text: str, path: str) -> str:
    """A prefix in its canonical form (RFC 5952). IPv4-mapped ones are refused, as addresses are."""
    try:
        if _PREFIX_LENGTH.fullmatch(text):
            found = ip_network(text)
            if found.version == 4 or not found.network_address.packed.startswith(_MAPPED):
                return str(found)
    except ValueError:
        pass
    raise UnfitError(f"{path}: expected a prefix such as 10.96.0.0/16 without host bits, got {quoted(text)}")


def quoted(text: str) -> str:
    """A text as a message may show it: as it is when it is a plain word, else quoted, escaped and cut."""
    if text.isascii() and text.isprintable() and 0 < len(text) <= 253 and " " not in text:
        return text
    return ascii(text[:60]) + ("..." if len(text) > 60 else "")


_TYPE_NAMES = {
    "str": "a string",
    "int": "an integer",
    "bool": "a boolean",
    "array": "a list",
    "object": "a mapping",
}
_MISSING = re.compile(r"Object missing required field `(.+?)`(?: - at `\$\.?(.*)`)?")
_EXPECTED = re.compile(r"Expected `(.+?)`(?:, got `(.+?)`)? - at (`key` in )?`\$\.?(.*)`")


def explain(message: str) -> str:
    """msgspec's message about a wrong type, in the words of the API: the field's path, and what is expected there."""
    if found := _MISSING.fullmatch(message):
        path = ".".join(part for part in (found[2], found[1]) if part)
        return f"{path}: expected, but missing"
    if found := _EXPECTED.fullmatch(message):
        wanted, got, is_key, path = found.groups()
        if is_key:
            return f"{path or 'object'}: expected keys that are strings"
        words = [_TYPE_NAMES.get(word, word) for word in wanted.split(" | ")]
        return f"{path}: expected {' or '.join(words)}, got {_TYPE_NAMES.get(got, got)}"
    return message
