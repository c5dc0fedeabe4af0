"""Errors of disks and permissions end in one sentence; all others keep their traceback."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable

import pytest

from perfkit.cli.main import COMMANDS, Command, PrintedWarnings, load_command, main


def _failing(code: int, filename: str | None = None) -> Callable[[str], Command]:
    """Gives subcommands that fail with an error of the system."""

    def fail(arguments: list[str]) -> int:
        raise OSError(code, os.strerror(code), *([filename] if filename else []))

    return lambda name: fail


@pytest.mark.parametrize(
    ("code", "filename", "sentence"),
    [
        (
            errno.ENOSPC,
            None,
            "perfkit: a file cannot be read or written (No space left on device); "
            "all files that were written before are kept\n",
        ),
        (
            errno.EROFS,
            "/out/x.json",
            "perfkit: /out/x.json cannot be read or written (Read-only file system); "
            "all files that were written before are kept\n",
        ),
        (
            errno.EACCES,
            "/out/\x1b[2J\n",
            "perfkit: /out/\\x1b[2J\\n cannot be read or written (Permission denied); "
            "all files that were written before are kept\n",
        ),
    ],
)
def test_an_error_of_the_disk_is_one_sentence(
    capsys: pytest.CaptureFixture[str], code: int, filename: str | None, sentence: str
) -> None:
    assert main(["doctor"], _failing(code, filename)) == 2
    assert capsys.readouterr().err == sentence


def test_an_error_that_perfkit_may_have_caused_keeps_its_traceback() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        main(["doctor"], _failing(errno.EBADF))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_has_a_module(name: str) -> None:
    assert callable(load_command(name))


def test_a_warning_about_a_name_with_control_characters_is_one_visible_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger, handler = logging.getLogger("perfkit"), PrintedWarnings()
    logger.addHandler(handler)
    try:
        logging.getLogger("perfkit.trial.worker.programs").warning(
            "perfkit: %s is damaged", "\x1b[2J\na"
        )
        logging.getLogger("perfkit.trial.worker.programs").info("perfkit: all is well")
    finally:
        logger.removeHandler(handler)
    assert capsys.readouterr().err == "perfkit: \\x1b[2J\\na is damaged\n"
