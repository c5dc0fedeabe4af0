"""Leaves slow tests out unless ``--slow`` is given, and lets tests that measure run alone.

Signals that the caller ignores are received.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from perfkit.trial.conditions.jaxlib_standing import CHECK_VARIABLE
from tests.support.turns import turn

# The check of jaxlib's answers takes ten seconds in each new cache; its own tests switch it on.
os.environ.setdefault(CHECK_VARIABLE, "off")

TURNS = pytest.StashKey[str]()
"""Folder of the locks that the workers of pytest-xdist share."""


def pytest_configure() -> None:
    """Receive the signals that ``nohup`` and a shell's ``&`` make a process ignore.

    Tests send them, and processes that the tests start would inherit that they are ignored.
    """
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--slow``."""
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the tests marked long; skip those marked slow unless they are selected."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run it with --slow")
    for item in items:
        if item.get_closest_marker("slow") is not None:
            item.add_marker(skip)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send each worker of pytest-xdist the folder of the locks."""
    config = node.config
    if TURNS not in config.stash:
        folder = tempfile.mkdtemp(prefix="perfkit-turns-")
        config.stash[TURNS] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    node.workerinput["turns"] = config.stash[TURNS]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run tests marked alone while all other workers wait; fixtures are part of a test."""
    workerinput: dict[str, str] | None = getattr(item.config, "workerinput", None)
    if workerinput is None:
        return (yield)
    alone = item.get_closest_marker("alone") is not None
    with turn(Path(workerinput["turns"]), alone=alone):
        return (yield)
