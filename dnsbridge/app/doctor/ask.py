"""Asks a DNS server for the addresses of a name, as a stub resolver does, and says what came of it.

ask         the addresses of a name
ask_more    what tells the reasons for a wrong answer apart
"""

import secrets
import socket
from collections.abc import Callable
from ipaddress import ip_address

from dnslib import EDNS0, QTYPE, RCODE, RR, DNSRecord
from msgspec import structs

from dnsbridge.doctor.facts import Reply
from dnsbridge.errors import of_system

TIMEOUT = 3.0
"""Seconds that a server has for each of the two questions."""
_EXTENDED_ERROR = 15
_TYPES = ("A", "AAAA")


def ask(host: str, port: int, name: str) -> Reply:
    """The addresses of both families. Blocks for 2 x TIMEOUT at most."""
    server = host if port == 53 else f"{host}:{port}" if ":" not in host else f"[{host}]:{port}"
    addresses: list[str] = []
    errors: dict[str, None] = {}
    rcode = ""
    for rtype in _TYPES:
        try:
            got = _ask(host, port, name, rtype)
        except TimeoutError:
            return Reply(server, rcode, problem=f"no answer within {TIMEOUT:g} s")
        except OSError as error:
            return Reply(server, rcode, problem=of_system(error))
        except Exception:  # dnslib fails in many ways over hostile octets, and all of them say the same
            return Reply(server, rcode, problem="what it answers is no DNS message")
        rcode = got.rcode if not rcode or rcode == "NOERROR" else rcode
        addresses += got.addresses
        errors.update(dict.fromkeys(got.errors))
    return Reply(server, rcode, tuple(sorted(addresses, key=_order)), errors=tuple(errors))


def ask_more(reply: Reply, host: str, port: int, name: str, zone: str) -> Reply:
    """The same with what the server says without validation, and of a name of the zone that nobody has asked for."""
    # Below svc nobody but the cluster's objects has names; of others CoreDNS is asked, which may be out of reach.
    fresh = f"{secrets.token_hex(8)}.svc.{zone}"
    return structs.replace(
        reply,
        unchecked=tuple([each for rtype in _TYPES for each in _or_nothing(_addresses, host, port, name, rtype)]),
        has_zone=zone.lower() in _or_nothing(_owners, host, port, fresh),
    )


def _or_nothing(asking: Callable[..., list[str]], *words: object) -> list[str]:
    try:
        return asking(*words)
    except Exception:  # no answer, or hostile octets: either says nothing
        return []


def _addresses(host: str, port: int, name: str, rtype: str) -> list[str]:
    return _in_answer(_exchange(host, port, name, rtype, checked=False))


def _owners(host: str, port: int, name: str) -> list[str]:
    """The zones that an answer says it comes from (RFC 2308 section 3)."""
    got = _exchange(host, port, name, "A")
    return [str(each.rname).rstrip(".").lower() for each in got.auth if each.rtype == QTYPE.SOA]


def _ask(host: str, port: int, name: str, rtype: str) -> Reply:
    got = _exchange(host, port, name, rtype)
    return Reply("", str(RCODE.get(got.header.rcode)), tuple(_in_answer(got)), errors=tuple(_extended_errors(got)))


def _exchange(host: str, port: int, name: str, rtype: str, *, checked: bool = True) -> DNSRecord:
    question = DNSRecord.question(name, rtype)
    question.header.cd = int(not checked)
    question.add_ar(EDNS0(udp_len=1232))
    got = DNSRecord.parse(_over_udp(bytes(question.pack()), host, port))
    if got.header.id != question.header.id:
        raise ValueError("another ID")
    if got.header.tc:
        got = DNSRecord.parse(question.send(host, port, tcp=True, timeout=TIMEOUT, ipv6=":" in host))
    return got


def _over_udp(message: bytes, host: str, port: int) -> bytes:
    """The answer. The socket is connected, so that a closed port is an error at once (udp(7))."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.settimeout(TIMEOUT)
        opened.connect((host, port))
        opened.send(message)
        return opened.recv(65535)


def _in_answer(got: DNSRecord) -> list[str]:
    return [str(ip_address(str(each.rdata))) for each in got.rr if QTYPE.get(each.rtype) in _TYPES]


def _extended_errors(got: DNSRecord) -> list[str]:
    """Each as `22 no name server answers` (RFC 8914 section 2)."""
    found = []
    for record in got.ar:
        if not isinstance(record, RR) or record.rtype != QTYPE.OPT or not isinstance(record.rdata, list):
            continue
        for option in record.rdata:
            if option.code == _EXTENDED_ERROR and len(option.data) >= 2:
                text = bytes(option.data[2:]).decode("utf-8", "replace")
                shown = "".join(each if each.isprintable() else " " for each in text)[:200]
                found.append(f"{int.from_bytes(option.data[:2], 'big')} {shown}".rstrip())
    return found


def _order(text: str) -> tuple[int, int]:
    address = ip_address(text)
    return address.version, int(address)
