"""Captures the warnings of upstream and RDKit while an input is read, and turns them into notices.

Upstream writes a page of text per atom of a modified residue. Here every warning becomes part of
a short notice instead; none is dropped.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from perfkit.models.af3.inputs.listing import listed
from perfkit.models.af3.inputs.upstream_errors import brief

_LOGGERS = {"absl": "AlphaFold 3", "rdkit": "RDKit"}
"""Name of a captured logger -> the program that it belongs to."""

_CLOCK = re.compile(r"^\[\d\d:\d\d:\d\d\] *(WARNING: *)?")
"""Beginning of RDKit's lines."""

_MOST_NAMED = 10
"""Most atoms or components that one notice names."""

type _Sentence = Callable[[list[str]], str]

_SENTENCES: Mapping[str, _Sentence] = {
    "All ref positions unknown for": lambda names: (
        f"no coordinates of {listed(names, _MOST_NAMED)} are known or can be generated: "
        "AlphaFold 3 uses reference positions that are all zero"
    ),
    "Some ref positions unknown for": lambda names: (
        f"coordinates of some atoms of {listed(names, _MOST_NAMED)} are unknown: AlphaFold 3 sets "
        "their reference positions to zero"
    ),
    "Failed to construct mol from ccd_cif for": lambda names: (
        f"RDKit cannot build a molecule from {listed(names, _MOST_NAMED)}: AlphaFold 3 uses the "
        "coordinates in the component's definition"
    ),
    "Failed to generate conformer for": lambda names: (
        f"RDKit finds no conformer of {listed(names, _MOST_NAMED)}: AlphaFold 3 uses the "
        "coordinates in its definition, or zeros if it has none"
    ),
    "Missing atom": lambda names: (
        f"atoms without a reference position: {listed(names, _MOST_NAMED)}; AlphaFold 3 uses zeros"
    ),
}
"""Beginning of an upstream warning -> notice, made from the names in all such warnings."""

_NO_BETA = "does not contain a pseudo-beta atom"


@dataclass
class CapturedWarnings:
    """The warnings of upstream and RDKit during :func:`capture_warnings`.

    Attributes
    ----------
    records
        The captured log records, in the order in which they arrived.
    """

    records: list[logging.LogRecord] = field(default_factory=list)

    @property
    def notices(self) -> tuple[str, ...]:
        """One sentence per known type of warning, and one per other warning."""
        named: dict[str, dict[str, None]] = {start: {} for start in _SENTENCES}
        without_beta: dict[str, None] = {}
        others: dict[str, None] = {}
        for record in self.records:
            template = str(record.msg)
            start = next((known for known in _SENTENCES if template.startswith(known)), None)
            arguments = record.args if isinstance(record.args, tuple) else ()
            if start is not None:
                named[start][" of ".join(map(str, arguments))] = None
            elif _NO_BETA in template:
                without_beta[str(arguments[1:2])] = None
            else:
                words = _CLOCK.sub("", brief(record.getMessage()))
                others[f"{_LOGGERS[record.name]} warns: {words}"] = None
        notices = [
            sentence(list(named[start])) for start, sentence in _SENTENCES.items() if named[start]
        ]
        if without_beta:
            notices.append(
                f"{len(without_beta)} tokens have no beta carbon or equivalent atom, e.g. those of "
                "modified residues: AlphaFold 3 uses their first atom"
            )
        return (*notices, *others)


@contextmanager
def capture_warnings() -> Iterator[CapturedWarnings]:
    """Capture the warnings of upstream and RDKit, which otherwise go to the terminal.

    Exceptions pass through.
    """
    from rdkit import rdBase

    captured = CapturedWarnings()
    handler = _Listener(captured)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers[:], logger.propagate = [handler], False
    rdBase.LogToPythonLogger()
    try:
        yield captured
    finally:
        rdBase.LogToCppStreams()
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate


class _Listener(logging.Handler):
    def __init__(self, captured: CapturedWarnings) -> None:
        super().__init__(logging.WARNING)
        self._captured = captured

    def emit(self, record: logging.LogRecord) -> None:
        self._captured.records.append(record)
