"""A browser on this machine, without a window: runs the scripts of a page, or takes its picture."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
"""Programs that take the options of Chromium."""

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
)
"""Options for a page that loads nothing: no window, and no connection of the browser's own."""

SCRIPT_TIME_MS = 60_000
"""Time that scripts of a page may take, in milliseconds of the browser's virtual clock, which does
not advance while a script computes."""

LIMIT_S = 180.0
"""Wall seconds after which the browser is ended."""

type Run = Callable[..., subprocess.CompletedProcess[bytes]]
"""Runs a command, as :func:`subprocess.run` does."""


@dataclass(frozen=True)
class Browser:
    """A browser of the Chromium family.

    Attributes
    ----------
    program
        Path of the program.
    run
        Runs it.
    """

    program: str
    run: Run = subprocess.run

    def document(self, page: Path) -> str:
        """The HTML of a page after its scripts have run.

        Raises
        ------
        UserError
            The browser fails, or does not end in time.
        """
        return self._output(page, ["--dump-dom"]).decode("utf-8", errors="replace")

    def picture(self, page: Path, target: Path, width_px: int, height_px: int) -> None:
        """Write a PNG of the upper left part of a page.

        Parameters
        ----------
        page
            File of the page.
        target
            File to write.
        width_px, height_px
            Size of the picture, and of the window.

        Raises
        ------
        UserError
            The browser fails, or does not end in time.
        """
        options = [f"--screenshot={target.resolve()}", f"--window-size={width_px},{height_px}"]
        self._output(page, options)
        if not target.is_file():
            raise UserError(f"the browser {self.program} took no picture of {page}")

    def _output(self, page: Path, options: Sequence[str]) -> bytes:
        # Chromium refuses to run as root in its sandbox, as in a container.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        with tempfile.TemporaryDirectory(prefix="perfkit-browser-") as profile:
            command = [
                self.program,
                *FLAGS,
                *root,
                f"--user-data-dir={profile}",
                f"--virtual-time-budget={SCRIPT_TIME_MS}",
                *options,
                page.resolve().as_uri(),
            ]
            try:
                done = self.run(command, capture_output=True, check=False, timeout=LIMIT_S)
            except subprocess.TimeoutExpired as error:
                raise UserError(
                    f"the browser {self.program} did not end within {LIMIT_S:g} s; no picture was "
                    "written"
                ) from error
            except OSError as error:
                raise UserError(
                    f"the browser {self.program} cannot be started ({error.strerror}); no picture "
                    "was written"
                ) from error
        if done.returncode != 0:
            raise UserError(
                f"the browser {self.program} ended with exit code {done.returncode}; no picture "
                "was written"
            )
        return done.stdout


def find_browser(which: Callable[[str], str | None] = shutil.which) -> Browser:
    """The first of :data:`BROWSERS` on the ``PATH``.

    Parameters
    ----------
    which
        Finds a program by its name.

    Raises
    ------
    UserError
        There is none.
    """
    for name in BROWSERS:
        program = which(name)
        if program is not None:
            return Browser(program)
    raise UserError(
        "pictures need a browser, and neither Chromium nor Google Chrome is on the PATH: install "
        "one of them, or leave out --png"
    )
