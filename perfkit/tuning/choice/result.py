"""The outcome of a tuning: what pages and notebooks read, without what a search runs with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perfkit.records.schema import Record
from perfkit.tuning.choice.extrapolate import Extrapolation
from perfkit.tuning.choice.recommend import Recommendation


@dataclass(frozen=True)
class TuningResult:
    """The outcome of a tuning, complete or interrupted.

    Attributes
    ----------
    records
        All records of the study, oldest first, those of earlier calls included.
    recommendation
        The recommended configuration and the rows it was chosen from.
    extrapolations
        Predicted times of a production prediction: of stock and of the recommended configuration,
        where their parts were measured.
    folder
        Folder of the records and of the preset.
    preset
        Path of the saved preset, or None where nothing is recommended.
    front
        Paths of the saved presets on the front of time and memory, fastest configuration first.
    unfinished
        One sentence for each step that was left out, with the reason.
    interrupted
        Whether the user pressed Ctrl-C; the same call resumes.
    """

    records: tuple[Record, ...]
    recommendation: Recommendation
    extrapolations: tuple[Extrapolation, ...]
    folder: Path
    preset: Path | None
    front: tuple[Path, ...] = ()
    unfinished: tuple[str, ...] = ()
    interrupted: bool = False
