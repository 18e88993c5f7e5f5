"""Real recursors on loopback, which forward all they are asked to one server: what an office has as its DNS.

with Recursor("unbound", folder, 127.0.0.1's port of the server) as recursor:
    recursor.port     UDP and TCP, on 127.0.0.1
"""

from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.support.daemon import RealServer
from tests.support.knot import ADDRESS, free_port


class Recursor(RealServer):
    """One of `PROGRAMS`; `with` runs it. It needs no root."""

    def __init__(self, program: str, folder: Path, server: int) -> None:
        super().__init__()
        self.port = free_port()
        self._folder = folder
        self._command = PROGRAMS[program](folder, self.port, server)

    def _start(self) -> None:
        self._run(self._command, self._folder / "recursor.log", self._answers)

    def _answers(self) -> bool:
        try:
            dns.query.udp(dns.message.make_query("ready.example", "A"), ADDRESS, timeout=1, port=self.port)
        except (OSError, dns.exception.DNSException):
            return False
        return True


def _unbound(folder: Path, port: int, server: int) -> list[str]:
    settings = {
        "interface": f"{ADDRESS}@{port}",
        "chroot": '""',
        "username": '""',
        "pidfile": '""',
        "directory": f'"{folder}"',
        "use-syslog": "no",
        "do-daemonize": "no",
        "do-not-query-localhost": "no",
        "module-config": '"iterator"',
    }
    lines = "".join(f"    {name}: {value}\n" for name, value in settings.items())
    forward = f'forward-zone:\n    name: "."\n    forward-addr: {ADDRESS}@{server}\n'
    config = folder / "unbound.conf"
    config.write_text(f"server:\n{lines}{forward}", encoding="utf-8")
    return ["unbound", "-d", "-c", str(config)]


def _bind(folder: Path, port: int, server: int) -> list[str]:
    config = folder / "named.conf"
    config.write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ {ADDRESS}; }}; listen-on-v6 {{ none; }};'
        f' pid-file none; session-keyfile "{folder}/session.key"; lock-file none; dnssec-validation no; recursion yes;'
        f" forward only; forwarders {{ {ADDRESS} port {server}; }}; }};\ncontrols {{ }};\n",
        encoding="utf-8",
    )
    return ["named", "-g", "-c", str(config)]


def _dnsmasq(folder: Path, port: int, server: int) -> list[str]:
    options = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--bind-interfaces"]
    options += [f"--listen-address={ADDRESS}", f"--port={port}", f"--server={ADDRESS}#{server}", "--user=", "--group="]
    return ["dnsmasq", *options, f"--pid-file={folder}/dnsmasq.pid"]


def _knot_resolver(folder: Path, port: int, server: int) -> list[str]:
    config = folder / "kresd.conf"
    modules = "ta_update", "ta_signal_query", "priming", "detect_time_skew"
    lines = [f"net.listen('{ADDRESS}', {port}, {{ kind = 'dns' }})", "trust_anchors.remove('.')", "cache.size = 8 * MB"]
    lines += [f"modules.unload('{each}')" for each in modules]
    lines += [f"policy.add(policy.all(policy.FORWARD('{ADDRESS}@{server}')))", ""]
    config.write_text("\n".join(lines), encoding="utf-8")
    return ["kresd", "-n", "-c", str(config), str(folder)]


PROGRAMS = {"unbound": _unbound, "named": _bind, "dnsmasq": _dnsmasq, "kresd": _knot_resolver}
