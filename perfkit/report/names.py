"""Short names of configurations: what they change, instead of all that they set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfkit.records.settings import settings_label
from perfkit.tuning.recommend import Recommendation
from perfkit.tuning.rows import Row
from perfkit.units import count_text

SHORT_LABEL = 36
"""Up to this number of characters, the label of a configuration is its name."""

BASE_NAME = "recommended"
"""Stands for the settings of the recommended configuration in the names of others."""


class Names:
    """The name of each configuration of a study, by its digest.

    A configuration with a long label is named by its difference from the recommended one, if that
    is shorter: ``recommended, precision=float32, without kernels``. The label itself, which lists
    every setting that differs from stock, belongs in hover labels and tables.

    Parameters
    ----------
    rows
        The configurations.
    best
        The recommended configuration, or None.
    """

    def __init__(self, rows: Sequence[Row], best: Row | None) -> None:
        self._best = best if best is not None and best.settings else None
        self._names = {row.digest: self._name(row) for row in rows}

    @classmethod
    def of(cls, recommendation: Recommendation) -> Names:
        """The names of all configurations of a recommendation."""
        return cls(recommendation.rows, recommendation.best)

    def __getitem__(self, digest: str) -> str:
        return self._names[digest]

    def _name(self, row: Row) -> str:
        if len(row.label) <= SHORT_LABEL or self._best is None:
            return row.label
        if row.digest == self._best.digest:
            return f"{BASE_NAME} ({count_text(len(row.settings), 'setting')})"
        found = difference_text(self._best.settings, row.settings)
        return found if len(found) < len(row.label) else row.label


def difference_text(base: Mapping[str, str], settings: Mapping[str, str]) -> str:
    """The difference of settings from those of the recommended configuration.

    Parameters
    ----------
    base
        Settings of the recommended configuration.
    settings
        Settings of the other one.
    """
    own = sorted(pair for pair in settings.items() if base.get(pair[0]) != pair[1])
    parts = [settings_label([pair]) for pair in own]
    parts += [f"without {name.removeprefix('xla_')}" for name in sorted(base.keys() - settings)]
    return ", ".join([BASE_NAME, *parts])
