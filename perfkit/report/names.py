"""Short names of configurations: what they change, instead of all that they set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfkit.records.settings import settings_label
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.choice.rows import Row
from perfkit.units import count_text

SHORT_LABEL = 36
"""Up to this number of characters, the label of a configuration is its name."""

BASE_NAME = "recommended"
"""Stands for the settings of the recommended configuration in the names of others."""

FASTEST = "fastest"
"""Stands for those of the fastest configuration where none is recommended."""


class Names:
    """The name of each configuration of a study, by its digest.

    A configuration with a long label is named by its difference from the recommended one, or else
    from the fastest one, if that is shorter: ``recommended, precision=float32, without kernels``.
    The label itself, which lists every setting that differs from stock, belongs in hover labels and
    tables.

    Parameters
    ----------
    rows
        The configurations, the fastest first.
    best
        The recommended configuration, or None.
    """

    def __init__(self, rows: Sequence[Row], best: Row | None) -> None:
        leading = (row for row in rows if row.eligible and row.settings and row.speedup)
        recommended = best is not None and bool(best.settings)
        self._base = best if recommended else next(leading, None)
        self._base_name = BASE_NAME if recommended else FASTEST
        self._names = {row.digest: self._name(row) for row in rows}

    @classmethod
    def of(cls, recommendation: Recommendation) -> Names:
        """The names of all configurations of a recommendation."""
        return cls(recommendation.rows, recommendation.best)

    def __getitem__(self, digest: str) -> str:
        return self._names[digest]

    def _name(self, row: Row) -> str:
        if len(row.label) <= SHORT_LABEL or self._base is None:
            return row.label
        if row.digest == self._base.digest:
            return f"{self._base_name} ({count_text(len(row.settings), 'setting')})"
        found = ", ".join((self._base_name, *differences(self._base.settings, row.settings)))
        return found if len(found) < len(row.label) else row.label


def differences(base: Mapping[str, str], settings: Mapping[str, str]) -> list[str]:
    """The settings that differ from others, and those that are missing.

    Parameters
    ----------
    base
        The settings to compare with.
    settings
        Settings of the configuration.
    """
    own = sorted(pair for pair in settings.items() if base.get(pair[0]) != pair[1])
    missing = sorted(base.keys() - settings)
    return [
        *(settings_label([pair]) for pair in own),
        *(f"without {name.removeprefix('xla_')}" for name in missing),
    ]
