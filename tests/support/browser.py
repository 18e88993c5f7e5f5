"""A real Chromium, driven by Playwright, that notes every error of the pages that it shows.

with Browser() as browser:
    page = browser.open("http://127.0.0.1:9153/")
    ...
browser.troubles        what the console, the policy and the network had to say
"""

import shlex
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from tests.support.namespace import Namespace
from tests.support.waiting import DEADLINE

_OPTIONS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = (1280, 900), (360, 740)
"""Pixels of a window: width and height."""


class Browser:
    """The browser; `with` starts and ends it. In a `namespace` it sees only what is there."""

    def __init__(self, namespace: Namespace | None = None) -> None:
        self.troubles: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="dnsbridge-browser-")
        self._program = shutil.which("chromium") or "chromium"
        if namespace:
            script = Path(self._folder.name) / "chromium"
            script.write_text(
                f'#!/bin/sh\nexec {shlex.join([*namespace.prefix, self._program])} "$@"\n', encoding="utf-8"
            )
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
            self._program = str(script)

    def __enter__(self) -> "Browser":
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=self._program, chromium_sandbox=False, args=_OPTIONS, timeout=DEADLINE * 1000
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.close()
        self._playwright.stop()
        self._folder.cleanup()

    def open(
        self,
        place: str,
        size: tuple[int, int] = DESK,
        scheme: Literal["light", "dark"] = "light",
        credentials: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Page:
        """A page of its own profile, as soon as it shows a status."""
        context = self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            http_credentials=dict(credentials) if credentials else None,  # type: ignore[arg-type]  # a TypedDict
            **more,
        )
        context.set_default_timeout(DEADLINE * 1000)
        page = context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._note(f"error: {error}", True))
        page.on("requestfailed", lambda request: self._note(f"failed: {request.url}", "/api/events" not in request.url))
        page.goto(place)
        page.locator("#summary.ok, #summary.warn, #summary.bad").wait_for()
        return page

    def _console(self, message: ConsoleMessage) -> None:
        # The browser itself says each status of 400 and over; of a name that cannot be, the page says what is wrong.
        bad_name = "/api/lookup" in message.location["url"] and "400" in message.text
        self._note(f"console: {message.text}", message.type in ("error", "warning") and not bad_name)

    def _note(self, text: str, counts: bool) -> None:
        if counts:
            self.troubles.append(text)
