"""The DNS servers that offices have, each with what `dnsbridge clients` prints for it: FRONTS, by program.

All of them protect against DNS rebinding, and unbound and BIND validate: the printed text must get through both.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


class Root(NamedTuple):
    """The root of all names for an office server: where it is asked, and its key."""

    server: str
    key: str
    """The DS record in presentation form."""


NOBODY = Root("127.0.0.1", ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D")
"""Nothing leaves loopback; the key is the real one."""


class Front(NamedTuple):
    """How one office server is run."""

    kind: str
    """Of `dnsbridge clients`."""
    rebinding: str
    """Of that text, what names the exception from rebinding protection (a regular expression)."""
    validation: str
    """The same for validation; empty: it does not validate."""
    configured: Callable[..., str]
    """The whole configuration, from the printed part, an address, a port, a folder, and the root (default: NOBODY)."""
    command: Callable[[Path], list[str]]
    """What runs it, from the configuration's file."""


def _hints(folder: Path, root: Root) -> Path:
    file = folder / "root.hints"
    file.write_text(f". 3600000 NS a.root.\na.root. 3600000 A {root.server}\n", encoding="utf-8")
    return file


def _unbound(said: str, address: str, port: int, folder: Path, root: Root = NOBODY) -> str:
    """With the validator, the root's key and `private-address`."""
    lines = [
        f"interface: {address}@{port}",
        "access-control: 0.0.0.0/0 allow",
        'chroot: ""',
        'username: ""',
        'pidfile: ""',
        f'directory: "{folder}"',
        "use-syslog: no",
        "do-daemonize: no",
        "do-not-query-localhost: no",
        'module-config: "validator iterator"',
        f'trust-anchor: "{root.key}"',
        f'root-hints: "{_hints(folder, root)}"',
        *(f"private-address: {prefix}" for prefix in PRIVATE),
    ]
    return said + "server:\n" + "".join(f"    {line}\n" for line in lines)


def _bind(said: str, address: str, port: int, folder: Path, root: Root = NOBODY) -> str:
    """With validation, and with `deny-answer-addresses` as the text has it for those who have that."""
    lines = [
        f'directory "{folder}";',
        f"listen-on port {port} {{ {address}; }};",
        "listen-on-v6 { none; };",
        "pid-file none;",
        "session-keyfile none;",
        "recursion yes;",
        "dnssec-validation yes;",
    ]
    owner, _, *key = root.key.split()
    zones = f'zone "." {{ type hint; file "{_hints(folder, root)}"; }};\n'
    anchor = f'trust-anchors {{ "{owner}" static-ds {" ".join(key[:3])} "{key[3]}"; }};\n'
    said = (said or "options {\n};\n").replace("// deny-answer", "deny-answer")
    return "controls {};\n" + anchor + zones + said.replace("options {", "options {\n" + "\n".join(lines))


def _dnsmasq(said: str, address: str, port: int, folder: Path, root: Root = NOBODY) -> str:
    """With `stop-dns-rebind`, and private reverse names that are not forwarded without a server of their own."""
    lines = [
        f"port={port}",
        f"listen-address={address}",
        "bind-interfaces",
        "no-resolv",
        "no-hosts",
        "user=",
        "stop-dns-rebind",
        "bogus-priv",
        *([] if root is NOBODY else [f"server={root.server}"]),
    ]
    return said + "\n".join([*lines, ""])


FRONTS = {
    "unbound": Front(
        "unbound",
        r"    private-domain:.*\n",
        r"    domain-insecure:.*\n",
        _unbound,
        lambda config: ["unbound", "-d", "-c", str(config)],
    ),
    "named": Front(
        "bind",
        r' except-from \{ "cluster.local"; \}',
        r"    validate-except.*\n",
        _bind,
        lambda config: ["named", "-g", "-c", str(config)],
    ),
    "dnsmasq": Front(
        "dnsmasq",
        r"rebind-domain-ok=.*\n",
        "",
        _dnsmasq,
        lambda config: ["dnsmasq", "--no-daemon", f"--conf-file={config}", "--pid-file"],
    ),
}
