"""Windows: route.exe, which every version has, and PowerShell's New-NetRoute, which is safe to repeat."""

from collections.abc import Iterator

from dnsbridge.routes.exports.form import About, Devices, Format
from dnsbridge.routes.model import Route

_QUOTES = "'\u2018\u2019\u201a\u201b"
"""Characters that PowerShell reads as a single quote; doubling one escapes it (about_Quoting_Rules)."""


def _route_exe(routes: tuple[Route, ...], _about: About) -> Iterator[str]:
    """-p keeps a route over a restart. The interface is the one that reaches the gateway."""
    for route in routes:
        prefix, gateway = route.prefix, route.next_hops[0].address
        if prefix.version == 6:
            yield f"route.exe -p -6 ADD {prefix} {gateway}"
        else:
            yield f"route.exe -p ADD {prefix.network_address} MASK {prefix.netmask} {gateway}"


def _powershell(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """New-NetRoute needs an interface: the named one, else the one that reaches the gateway."""
    for route in routes:
        gateway = route.next_hops[0].address or ("::" if route.prefix.version == 6 else "0.0.0.0")
        which = f"-DestinationPrefix '{route.prefix}' -NextHop '{gateway}'"
        if about.interface:
            where = f"-InterfaceAlias {_quoted(about.interface)}"
        else:
            where = f"-InterfaceIndex (Find-NetRoute -RemoteIPAddress '{gateway}')[0].InterfaceIndex"
        there = f"Get-NetRoute {which} -ErrorAction SilentlyContinue"
        yield f"if (-not ({there})) {{ New-NetRoute {which} {where} | Out-Null }}"


def _quoted(text: str) -> str:
    return "'" + "".join(character * 2 if character in _QUOTES else character for character in text) + "'"


FORMATS = (
    Format(
        "windows",
        "A batch file of Windows' `route.exe -p ADD`.",
        _route_exe,
        "Run it as Administrator.",
        comment="rem",
        devices=Devices.NONE,
        interface="",
    ),
    Format(
        "powershell",
        "A PowerShell script of `New-NetRoute`, safe to repeat; --interface names an adapter.",
        _powershell,
        "Run it as Administrator.",
        devices=Devices.NONE,
        interface="an adapter",
        free_names=True,
    ),
)
