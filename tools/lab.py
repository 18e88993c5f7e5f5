"""A playground: dnsbridge over the example cluster, and Knot DNS as the corporate DNS that it forwards to.

    127.0.0.1:5300   dnsbridge
    127.0.0.1:5301   the corporate DNS, with the zone corp.example

Everything is on loopback and in a temporary folder; Ctrl-C ends both.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

ROOT = Path(__file__).parent.parent
ADDRESS = "127.0.0.1"
PORT = 5300
CORPORATE_PORT = 5301
START_SECONDS = 20

ZONE = """$ORIGIN corp.example.
$TTL 300
@        SOA ns hostmaster 1 3600 600 86400 60
         NS  ns
ns       A   192.0.2.53
intranet A   192.0.2.10
files    CNAME intranet
git      A   192.0.2.20
         AAAA 2001:db8::20
"""

TRY = f"""
To try, in another terminal:
  dig @{ADDRESS} -p {PORT} web.shop.svc.cluster.local           # a service of the example cluster
  dig @{ADDRESS} -p {PORT} kafka-0.kafka.data.svc.cluster.local # a pod of a StatefulSet
  dig @{ADDRESS} -p {PORT} no-such.shop.svc.cluster.local       # the cluster knows that there is none
  dig @{ADDRESS} -p {PORT} files.corp.example                   # the corporate DNS's answer, forwarded
  .venv/bin/dnsbridge zone --manifests dnsbridge/example        # every name of the example cluster
Ctrl-C ends it.
"""


def start(command: list[str], running: ExitStack) -> subprocess.Popen[bytes]:
    """Start a server that is stopped with the stack. Its own session keeps Ctrl-C from it: this script stops it."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=ROOT, start_new_session=True)
    running.callback(stop, process)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a server, at the latest after five seconds."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_ready(process: subprocess.Popen[bytes], port: int, name: str) -> None:
    """Wait until a server answers a name with NOERROR; ends the script when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = dns.query.udp(dns.message.make_query(name, "A"), ADDRESS, timeout=0.5, port=port)
        except (OSError, dns.exception.DNSException):
            answer = None
        if answer is not None and answer.rcode() == dns.rcode.NOERROR:
            return
        time.sleep(0.1)
    if process.poll() is not None:
        sys.exit(f"the server for {ADDRESS}:{port} ended, see above; is that port taken?")
    sys.exit(f"{name} is not answered on {ADDRESS}:{port}")


def main() -> None:
    """Run both servers until Ctrl-C."""
    knotd = shutil.which("knotd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if knotd is None:
        sys.exit("the lab needs knotd (Debian package knot)")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as running:
        running.enter_context(suppress(KeyboardInterrupt))
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="dnsbridge-lab-")))
        corporate = start([knotd, "-c", str(_write_knot(folder))], running)
        wait_ready(corporate, CORPORATE_PORT, "intranet.corp.example")
        command = [sys.executable, "-m", "dnsbridge", "serve", "--listen", f"{ADDRESS}:{PORT}"]
        command += ["--manifests", "dnsbridge/example", "--upstream", f"{ADDRESS}:{CORPORATE_PORT}"]
        server = start(command, running)
        wait_ready(server, PORT, "intranet.corp.example")
        print(TRY, flush=True)
        server.wait()


def _write_knot(folder: Path) -> Path:
    (folder / "corp.example.zone").write_text(ZONE, encoding="utf-8")
    config = folder / "knot.conf"
    config.write_text(
        f"""server:
    listen: {ADDRESS}@{CORPORATE_PORT}
    rundir: {folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {folder}/database
log:
  - target: stderr
    any: error
template:
  - id: default
    storage: {folder}
    zonefile-sync: -1
zone:
  - domain: corp.example
    file: corp.example.zone
""",
        encoding="utf-8",
    )
    return config


if __name__ == "__main__":
    main()
