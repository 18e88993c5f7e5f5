"""Checks of single values, as the API server makes them, and the words for a wrong value.

Each check takes a value and its field's path and gives the value back. UnfitError says the path, what is expected
there, and what was found.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import AF_INET, AF_INET6, inet_pton

from dnsbridge.cluster.flaws import UnfitError, joined

Syntax = tuple[re.Pattern[str], str]
"""A pattern that a text must match as a whole, and its wording in messages."""

LABEL: Syntax = (
    re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"),
    "a DNS label of a-z, 0-9 and `-`, at most 63 octets",
)
SUBDOMAIN: Syntax = (
    re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"),
    "DNS labels of a-z, 0-9 and `-` with dots between, at most 253 octets",
)
_HOST_LABEL = r"[a-z0-9_](?:[-a-z0-9_]{0,61}[a-z0-9_])?"
_HOST_NAME: Syntax = (
    re.compile(rf"(?=.{{1,253}}\.?\Z){_HOST_LABEL}(?:\.{_HOST_LABEL})*\.?"),
    "a DNS name or an IP address",
)
_PREFIX_LENGTH = re.compile(r"[0-9a-f:.]+/[0-9]{1,3}", re.IGNORECASE)
_MAPPED = bytes(10) + b"\xff\xff"
_SUSPECT = frozenset({0, 127, 169, 224, 254, 255})
"""First octets of all addresses that no endpoint can have; some possible addresses share them."""


def check(syntax: Syntax, text: str, path: str) -> str:
    """The text, if it matches one of the syntaxes above."""
    if not syntax[0].fullmatch(text):
        raise UnfitError(path, f"expected {syntax[1]}, got {quoted(text)}")
    return text


def external_name(text: str) -> tuple[str, bytes]:
    """`spec.externalName`: the name that a CNAME points to, in lower case, or else a packed address.

    A final dot is allowed. Old API servers accepted capitals and addresses; an underscore is legal in DNS (RFC 2181
    section 11).
    """
    path = "spec.externalName"
    name = text.lower() if text.isascii() else text
    spelled = name.removesuffix(".")
    if _packed(spelled) is not None:
        return "", packed_address(spelled, path)
    if not _HOST_NAME[0].fullmatch(name):
        raise UnfitError(path, f"expected {_HOST_NAME[1]}, got {quoted(text)}")
    return name, b""


def one_of(text: str, choices: tuple[str, ...], path: str) -> str:
    """The text, if it is one of the choices."""
    if text not in choices:
        raise UnfitError(path, f"expected one of {', '.join(choices)}, got {quoted(text)}")
    return text


def _packed(text: str) -> bytes | None:
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return None


def packed_address(text: str, path: str = "") -> bytes:
    """An address, packed. IPv4-mapped addresses are refused: they would be AAAA records, but IPv4 on the wire."""
    address = _packed(text)
    if address is None:
        raise UnfitError(path, f"expected an IP address, got {quoted(text)}")
    if len(address) == 16 and address.startswith(_MAPPED):
        raise UnfitError(path, f"expected an IP address that is not IPv4-mapped, got {quoted(text)}")
    return address


def routable_address(text: str, octets: int = 0) -> bytes:
    """The packed address of an endpoint or of `spec.externalIPs`, of `octets` octets; 0: of either family.

    The API server refuses unspecified, loopback, link-local and link-local multicast addresses
    (`ValidateNonSpecialIP`): they lead each client to itself or to its own link.
    """
    address = _packed(text)
    if address is None:
        raise UnfitError("", f"expected an IP address, got {quoted(text)}")
    if octets and len(address) != octets:
        family = "IPv4" if octets == 4 else "IPv6"
        raise UnfitError("", f"{quoted(text)} is no {family} address, which addressType promises")
    if address[0] in _SUSPECT:
        packed_address(text)
        read = IPv4Address(address) if len(address) == 4 else IPv6Address(address)
        multicast = address[:3] == b"\xe0\0\0" if read.version == 4 else address[0] == 255 and address[1] & 15 == 2
        if read.is_unspecified or read.is_loopback or read.is_link_local or multicast:
            raise UnfitError("", f"expected an address that others can reach, got {text}")
    return address


def canonical_prefix(text: str, path: str = "") -> str:
    """A prefix in its canonical form (RFC 5952). IPv4-mapped prefixes are refused, as addresses are."""
    try:
        if _PREFIX_LENGTH.fullmatch(text):
            found = ip_network(text)
            if found.version == 4 or not found.network_address.packed.startswith(_MAPPED):
                return str(found)
    except ValueError:
        pass
    raise UnfitError(path, f"expected a prefix such as 10.96.0.0/16 without host bits, got {quoted(text)}")


def quoted(text: str) -> str:
    """A text for a message: a plain word unchanged, any other text quoted, escaped and cut."""
    if text.isascii() and text.isprintable() and 0 < len(text) <= 253 and " " not in text:
        return text
    return ascii(text[:60]) + ("..." if len(text) > 60 else "")


_TYPE_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a float",
    "bool": "a boolean",
    "array": "a list",
    "object": "a mapping",
}
_MISSING = re.compile(r"Object missing required field `(.+?)`(?: - at `\$\.?(.*)`)?")
_EXPECTED = re.compile(r"Expected `(.+?)`(?:, got `(.+?)`)?(?: - at (`key` in )?`\$\.?(.*)`)?")


def explain(message: str, path: str = "") -> UnfitError:
    """msgspec's message about a wrong type below `path`, in the words of the API: the field, and what is expected."""
    if found := _MISSING.fullmatch(message):
        inner = ".".join(part for part in (found[2], found[1]) if part)
        return UnfitError(joined(path, inner), "expected, but missing")
    if found := _EXPECTED.fullmatch(message):
        wanted, got, is_key, inner = found.groups()
        where = joined(path, inner or "")
        if is_key:
            return UnfitError(where or "object", "expected keys that are strings")
        words = [_TYPE_NAMES.get(word, word) for word in wanted.split(" | ")]
        return UnfitError(where, f"expected {' or '.join(words)}, got {_TYPE_NAMES.get(got, got)}")
    return UnfitError(path, message)
