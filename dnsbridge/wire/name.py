"""Names as bytes: text to wire and back, labels, suffixes, case.

A name here is its uncompressed wire form: length-prefixed labels and the root's zero octet,
`b"\\x03web\\x04shop\\x00"` (RFC 1035 section 3.1). `name.lower()` folds a name to compare it without regard to case
(RFC 4343): a length octet is at most 63, below `A`, so folding does not change it.
"""

from dnsbridge.wire.constants import MAX_LABEL, MAX_NAME

ROOT = b"\x00"

_LENGTHS = [bytes([length]) for length in range(256)]
"""The octet before a label, by its length."""
_PLAIN = bytes(octet for octet in range(0x21, 0x7F) if octet not in b'."\\;()@$')
"""Octets that a master file shows unescaped (RFC 1035 section 5.1)."""
_ESCAPED = {
    octet: f"\\{chr(octet)}" if 0x20 < octet < 0x7F else f"\\{octet:03d}" for octet in range(256) if octet not in _PLAIN
}
"""All others, as it shows them."""


class BadNameError(ValueError):
    """A text that is not a name; the message gives the reason in one sentence."""


def from_text(text: str) -> bytes:
    """The wire form of a name in presentation form, `\\.` and `\\DDD` escapes understood; always absolute.

    Raises BadNameError for an empty label, a label over 63 octets, a name over 255 octets, or text outside ASCII.
    """
    if text in ("", "."):
        return ROOT
    wire = bytearray()
    label = bytearray()
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == ".":
            _append(wire, label, text)
            label.clear()
            continue
        if character == "\\":
            digits = text[position : position + 3]
            if len(digits) == 3 and digits.isascii() and digits.isdigit() and int(digits) < 256:
                label.append(int(digits))
                position += 3
                continue
            character = text[position : position + 1]
            position += 1
        if len(character) != 1 or character > "\x7e":
            raise BadNameError(f"{text!r}: {character!r} is outside ASCII; write it as punycode or \\DDD")
        label += character.encode()
    if label:
        _append(wire, label, text)
    wire.append(0)
    if len(wire) > MAX_NAME:
        raise BadNameError(f"{text[:40]!r}...: a name has at most {MAX_NAME} octets")
    return bytes(wire)


def _append(wire: bytearray, label: bytearray, text: str) -> None:
    if not label:
        raise BadNameError(f"{text!r}: a label is empty")
    if len(label) > MAX_LABEL:
        raise BadNameError(f"{text!r}: a label has over {MAX_LABEL} octets")
    wire.append(len(label))
    wire += label


def to_text(name: bytes) -> str:
    """The presentation form of a name, with its final dot."""
    parts = [label_to_text(label) for label in labels(name)]
    return ".".join(parts) + "."


def label_to_text(label: bytes) -> str:
    """One label in presentation form."""
    text = label.decode("latin-1")
    return text.translate(_ESCAPED) if label.translate(None, _PLAIN) else text


def labels(name: bytes) -> list[bytes]:
    """The labels of a name (or of the front part of one), leftmost first, without the root."""
    found = []
    position = 0
    end = len(name)
    while position < end:
        length = name[position]
        if not length:
            break
        position += 1
        found.append(name[position : position + length])
        position += length
    return found


def from_labels(*parts: bytes) -> bytes:
    """The length-prefixed labels of a name's front part, without the root: append a suffix to make a name."""
    return b"".join([_LENGTHS[len(part)] + part for part in parts])


def is_below(name: bytes, zone: bytes) -> bool:
    """Whether a folded name is the apex of `zone` (folded) or below it, by whole labels."""
    if not name.endswith(zone):
        return False
    front = len(name) - len(zone)
    position = 0
    while position < front:
        position += name[position] + 1
    return position == front
