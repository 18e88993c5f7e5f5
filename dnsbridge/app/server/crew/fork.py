"""Forks workers: the event loop of the main process stands still during a fork, and the child begins with its own.

The child keeps the memory of the main process as it is, and only the descriptors that it needs. It touches nothing of
the main process's event loop. Other threads of the main process read files, and do not exist in the child; Python makes
the locks that they can hold (the interpreter's, the import system's, the log's) anew there.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Collection
from typing import NoReturn

import uvloop

from dnsbridge.app.answering.parts import Parts
from dnsbridge.app.server.crew.main_process import MainProcess
from dnsbridge.app.server.crew.worker import Worker
from dnsbridge.app.server.crew.workers import Place, Workers
from dnsbridge.app.server.life import serve
from dnsbridge.app.server.sockets import Listening
from dnsbridge.config import Loaded, Settings
from dnsbridge.errors import of_system
from dnsbridge.observe.log import start_logging

log = logging.getLogger(__name__)

_STANDARD = 3
"""The number of standard descriptors: input, output and error."""
_ENDING = (signal.SIGINT, signal.SIGTERM)


def run(loaded: Loaded, on_ready: Callable[[], None]) -> None:
    """Serve with as many workers as the settings say, until SIGINT or SIGTERM. Raises CannotStart."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        workers = Workers(loop)
        made: list[MainProcess] = []

        def hold(settings: Settings, parts: Parts, opened: list[Listening]) -> MainProcess:
            made.append(MainProcess(workers, settings, parts, opened))
            return made[0]

        serving = loop.create_task(serve(loaded, hold, on_ready))
        while not serving.done():
            loop.run_until_complete(_until_wanted(workers, serving))
            for place in workers.due():
                _fork(place, workers, loaded.settings, made[0])
        serving.result()


async def _until_wanted(workers: Workers, serving: "asyncio.Task[None]") -> None:
    wanted = asyncio.ensure_future(workers.wanted.wait())
    await asyncio.wait([wanted, serving], return_when=asyncio.FIRST_COMPLETED)
    wanted.cancel()


def _fork(place: Place, workers: Workers, settings: Settings, main: MainProcess) -> None:
    """Start a worker; in its process this does not return."""
    ours, theirs = socket.socketpair()
    # A signal for the child must not reach the handlers that it has from its parent.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        pid = os.fork()
    except OSError as error:
        ours.close()
        workers.not_forked(place, of_system(error))
    else:
        if not pid:
            _be_worker(place, theirs, settings, main)
        workers.forked(place, pid, ours)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    theirs.close()


def _be_worker(place: Place, sock: socket.socket, settings: Settings, main: MainProcess) -> NoReturn:
    code = 1
    try:
        # These objects stay shared as long as nobody writes to them, as the collector would.
        gc.freeze()
        signal.set_wakeup_fd(-1)
        # Ctrl-C reaches all processes of the terminal; the main process tells the workers when to end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        kept = {sock.fileno()}
        for pair in place.opened:
            kept |= {pair.udp.fileno(), pair.tcp.fileno()}
        _drop_descriptors(kept)
        # A thread of the main process may have been about to write to the old stream.
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        start_logging(settings.log.format, settings.log.level, place.number)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(place, sock, settings, main))
        code = 0
    except BaseException as error:
        log.error("internal error: %s: %s", type(error).__name__, error)
    finally:
        os._exit(code)


async def _work(place: Place, sock: socket.socket, settings: Settings, main: MainProcess) -> None:
    await Worker(place.number, settings, place.opened, main.parts, main.pushed).run(sock)


def _drop_descriptors(kept: Collection[int]) -> None:
    """Point every other descriptor at /dev/null.

    Closing them would free their numbers, and an object in this memory that still has one might close a later owner's.
    """
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number >= _STANDARD and number != nowhere and number not in kept:
            try:
                os.fstat(number)
            except OSError:
                continue  # it was the descriptor of the listing itself
            os.dup2(nowhere, number, inheritable=False)
    os.close(nowhere)
