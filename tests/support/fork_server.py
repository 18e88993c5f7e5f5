"""Runs `dnsbridge` in processes that have it loaded already: loading takes longer than most tests do.

    python -m tests.support.fork_server FD      FD: a socket (AF_UNIX, SOCK_SEQPACKET)

A request is one message: a `Request` as MessagePack, with four file descriptors: a stream socket, then what becomes
standard input, standard output and standard error. The process that is forked does what `python -m MODULE WORDS`
does. The stream socket says its number, and its exit code when it has ended, a line each. The end of the requests is
the end of this process; those that it has started go on.
"""

import ctypes
import importlib
import os
import runpy
import select
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET, _CLONE_NEWNS = 0x40000000, 0x00020000
_MS_SLAVE, _MS_BIND, _MS_REC, _MNT_DETACH = 1 << 19, 1 << 12, 1 << 14, 2
LOADED = (
    "dnsbridge.cli",
    "dnsbridge.app.server.crew.alone",
    "dnsbridge.app.companion.run",
    "dnsbridge.cli.running_server",
    "kubernetes.aio.config",
    "kubernetes.aio.client.rest",
    "uvloop",
)
"""What the commands load, most of it when they need it."""


class Request(msgspec.Struct):
    """One command to run."""

    module: str
    """What `python -m` would run."""
    words: list[bytes]
    """Octets, since an argument need not be text."""
    folder: str
    environment: dict[str, str]
    constants: dict[str, float]
    """Of modules, by full name: a patient program is not deceived by a busy machine."""
    namespace: str | None = None
    """The network namespace to run in, as by `ip netns exec`."""


def serve(requests: socket.socket) -> Request | None:
    """Serve requests until their end; returns in each process that is to run one, and at the end with None."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([requests.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap(running)
        if requests.fileno() not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
        if not message:
            return None
        told = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number, descriptor in enumerate(descriptors[1:]):
                os.dup2(descriptor, number)
            for opened in (requests, told, *running.values()):
                opened.close()
            for descriptor in (woken, wake, *descriptors[1:]):
                os.close(descriptor)
            return msgspec.msgpack.decode(message, type=Request)
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        told.send(b"%d\n" % pid)
        running[pid] = told


def _reap(running: dict[int, socket.socket]) -> None:
    """Say the exit codes of those that have ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as told:
            try:
                told.send(b"%d\n" % os.waitstatus_to_exitcode(status))
            except OSError:
                continue  # nobody wants to know any more


def become(request: Request) -> None:
    """Make this process what the request says."""
    if request.namespace:
        _enter(request.namespace)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    os.chdir(request.folder)
    for name, value in request.constants.items():
        module, _, attribute = name.rpartition(".")
        if not hasattr(sys.modules[module], attribute):
            raise AttributeError(name)
        setattr(sys.modules[module], attribute, value)
    sys.argv = [request.module, *map(os.fsdecode, request.words)]


def _enter(name: str) -> None:
    """What ip-netns(8) does: the network, a /sys that shows it, and the files of /etc/netns/NAME as those of /etc."""
    opened = os.open(f"/run/netns/{name}", os.O_RDONLY)
    _must(_libc.setns(opened, _CLONE_NEWNET), name)
    os.close(opened)
    _must(_libc.unshare(_CLONE_NEWNS), name)
    _must(_libc.mount(b"", b"/", b"none", _MS_SLAVE | _MS_REC, None), "/")
    _libc.umount2(b"/sys", _MNT_DETACH)
    _must(_libc.mount(name.encode(), b"/sys", b"sysfs", 0, None), "/sys")
    folder = Path("/etc/netns") / name
    for file in folder.iterdir() if folder.is_dir() else ():
        _must(_libc.mount(bytes(file), b"/etc/" + os.fsencode(file.name), b"none", _MS_BIND, None), file.name)


def _must(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), what)


if __name__ == "__main__":
    for name in LOADED:
        importlib.import_module(name)
    with socket.socket(fileno=int(sys.argv[1])) as given:
        wanted = serve(given)
    if wanted:
        become(wanted)
        runpy.run_module(wanted.module, run_name="__main__", alter_sys=True)
