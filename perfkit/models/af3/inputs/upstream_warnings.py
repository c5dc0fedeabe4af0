"""What upstream and RDKit warn of while an input is read, kept off the terminal and said in short.

Upstream writes a page for every atom of a modified residue. Nothing is dropped: each warning
becomes part of a notice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from perfkit.models.af3.inputs.upstream_errors import brief

_LOGGERS = {"absl": "AlphaFold 3", "rdkit": "RDKit"}
"""Loggers that are listened to, and whose they are."""

_CLOCK = re.compile(r"^\[\d\d:\d\d:\d\d\] *(WARNING: *)?")
"""What RDKit begins its lines with."""

_MOST_NAMED = 10

type _Sentence = Callable[[list[str]], str]

_SENTENCES: Mapping[str, _Sentence] = {
    "All ref positions unknown for": lambda names: (
        f"no coordinates of {_listed(names)} are known or can be made: AlphaFold 3 predicts it "
        "from reference positions that are all zero"
    ),
    "Some ref positions unknown for": lambda names: (
        f"coordinates of some atoms of {_listed(names)} are unknown: their reference positions "
        "are zero"
    ),
    "Failed to construct mol from ccd_cif for": lambda names: (
        f"RDKit makes no molecule of {_listed(names)}: AlphaFold 3 takes the coordinates of the "
        "component's definition"
    ),
    "Failed to generate conformer for": lambda names: (
        f"RDKit finds no conformer of {_listed(names)}: AlphaFold 3 takes the coordinates of its "
        "definition, or zeros where it has none"
    ),
    "Missing atom": lambda names: (
        f"atoms without a reference position: {_listed(names)}; AlphaFold 3 takes zeros"
    ),
}
"""Beginning of a warning of upstream -> what it means for the names that follow."""

_NO_BETA = "does not contain a pseudo-beta atom"


@dataclass
class Heard:
    """The warnings of upstream and RDKit."""

    records: list[logging.LogRecord] = field(default_factory=list)

    @property
    def notices(self) -> tuple[str, ...]:
        """One sentence for each kind of warning that is known, and for each other warning."""
        named: dict[str, dict[str, None]] = {start: {} for start in _SENTENCES}
        without_beta: dict[str, None] = {}
        others: dict[str, None] = {}
        for record in self.records:
            template = str(record.msg)
            start = next((each for each in _SENTENCES if template.startswith(each)), None)
            arguments = record.args if isinstance(record.args, tuple) else ()
            if start is not None:
                named[start][" of ".join(map(str, arguments))] = None
            elif _NO_BETA in template:
                without_beta[str(arguments[1:2])] = None
            else:
                words = _CLOCK.sub("", brief(record.getMessage()))
                others[f"{_LOGGERS[record.name]} warns: {words}"] = None
        said = [
            sentence(list(named[start])) for start, sentence in _SENTENCES.items() if named[start]
        ]
        if without_beta:
            said.append(
                f"{len(without_beta)} tokens have no atom in the place of a beta carbon, those of "
                "modified residues among them: AlphaFold 3 takes their first atom"
            )
        return (*said, *others)


@contextmanager
def listening() -> Iterator[Heard]:
    """Hears what upstream and RDKit warn of, instead of the terminal.

    Errors are exceptions and pass through.
    """
    from rdkit import rdBase

    heard = Heard()
    handler = _Listener(heard)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers[:], logger.propagate = [handler], False
    rdBase.LogToPythonLogger()
    try:
        yield heard
    finally:
        rdBase.LogToCppStreams()
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate


class _Listener(logging.Handler):
    def __init__(self, heard: Heard) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.records.append(record)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
