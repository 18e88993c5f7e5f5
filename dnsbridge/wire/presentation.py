"""Record types and data in presentation form (RFC 1035 section 5.1), and types read back from it.

addresses, names, strings        written by this package: dnslib escapes no octet that needs it
other types that dnslib knows    dnslib's text, if it reads back as the same octets
all others                       the generic form of RFC 3597
"""

from dnsbridge.wire import addresses, rdata
from dnsbridge.wire import name as names
from dnsbridge.wire.constants import Type
from dnsbridge.wire.query import name_end

_MNEMONICS = {int(each): each.name for each in Type}


def type_to_text(rtype: int) -> str:
    """The type's mnemonic, or its generic form (RFC 3597)."""
    if rtype in _MNEMONICS:
        return _MNEMONICS[rtype]
    from dnslib import QTYPE  # noqa: PLC0415  slow to load, and hardly ever needed

    return str(QTYPE.forward.get(rtype, f"TYPE{rtype}"))


def type_of_text(text: str) -> int | None:
    """The number of a mnemonic, or of a `TYPEn`; None if there is no such type."""
    if text in Type.__members__:
        return int(Type[text])
    digits = text.removeprefix("TYPE")
    if digits != text and digits.isascii() and digits.isdigit() and int(digits) < 0x10000:
        return int(digits)
    from dnslib import QTYPE  # noqa: PLC0415  as above

    found: int | None = QTYPE.reverse.get(text)
    return found


def data_to_text(rtype: int, data: bytes) -> str:
    """Record data (names uncompressed) in presentation form."""
    if (rtype, len(data)) in ((Type.A, 4), (Type.AAAA, 16)):
        return addresses.text(data)
    if rtype in (Type.TXT, Type.HINFO):
        return " ".join(_quoted(string) for string in rdata.character_strings(data))
    if rtype not in rdata.NAMES_AT:
        return _text_of_dnslib(rtype, data) or f"\\# {len(data)} {data.hex()}".rstrip()
    before, count = rdata.NAMES_AT[rtype]
    words = [str(int.from_bytes(data[at : at + 2], "big")) for at in range(0, before, 2)]
    position = before
    for _ in range(count):
        end = name_end(data, position)
        words.append(names.to_text(data[position:end]))
        position = end
    words += [str(int.from_bytes(data[at : at + 4], "big")) for at in range(position, len(data), 4)]
    return " ".join(words)


def _text_of_dnslib(rtype: int, data: bytes) -> str:
    """dnslib's text of the data; empty if there is none, or if it would read back as other octets."""
    from dnslib import QTYPE, RDMAP, RR, DNSBuffer  # noqa: PLC0415  as above

    mnemonic = QTYPE.forward.get(rtype)
    if mnemonic not in RDMAP:
        return ""
    try:
        text = str(RDMAP[mnemonic].parse(DNSBuffer(data), len(data)))
        if not (text.isascii() and text.isprintable()) or text.endswith(" "):
            return ""  # a space at the end is an empty field
        (record,) = RR.fromZone(f". 0 IN {mnemonic} {text}")
        again = DNSBuffer()
        record.rdata.pack(again)
    except Exception:  # hostile data fails in dnslib in many ways; each means that the data has no text
        return ""
    return text if bytes(again.data) == data else ""


def _quoted(string: bytes) -> str:
    shown = "".join(
        f"\\{chr(octet)}" if octet in b'"\\' else (chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}")
        for octet in string
    )
    return f'"{shown}"'
