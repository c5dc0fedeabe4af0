"""Errors of the system that no code of ours causes end in one sentence, all others do not."""

from __future__ import annotations

import errno
import logging
import os

import pytest

from perfkit.cli.commands import doctor
from perfkit.cli.main import PrintedWarnings, main


def _fail_with(monkeypatch: pytest.MonkeyPatch, code: int, filename: str | None) -> None:
    def fail(arguments: list[str]) -> int:
        raise OSError(code, os.strerror(code), *([filename] if filename else []))

    monkeypatch.setattr(doctor, "main", fail)


@pytest.mark.parametrize(
    ("code", "filename", "sentence"),
    [
        (
            errno.ENOSPC,
            None,
            "perfkit: a file cannot be read or written (No space left on device); "
            "what was written before is kept\n",
        ),
        (
            errno.EROFS,
            "/out/x.json",
            "perfkit: /out/x.json cannot be read or written (Read-only file system); "
            "what was written before is kept\n",
        ),
        (
            errno.EACCES,
            "/out/\x1b[2J\n",
            "perfkit: /out/\\x1b[2J\\n cannot be read or written (Permission denied); "
            "what was written before is kept\n",
        ),
    ],
)
def test_a_disk_that_refuses_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    filename: str | None,
    sentence: str,
) -> None:
    _fail_with(monkeypatch, code, filename)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == sentence


def test_an_error_that_our_code_may_have_caused_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fail_with(monkeypatch, errno.EBADF, None)
    with pytest.raises(OSError, match="Bad file descriptor"):
        main(["doctor"])


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
