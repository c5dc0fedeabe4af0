"""The effect of every setting with its interval: what matters, what is inert, what is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.records.settings import settings_label
from perfkit.report.figures.ratio_rows import Dot, Note, add_dots, finish_rows
from perfkit.report.status import Status, outcome_text, status_of
from perfkit.report.style import (
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    Mark,
    shortened,
    wrapped,
)
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.importance import SettingEffect
from perfkit.tuning.choice.memory_exchange import DEFAULT_MEMORY_EXCHANGE
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import count_text, percent_text, ratio_text

INERT = DEFAULT_MEMORY_EXCHANGE
"""Largest effect of an inert setting, as a share of time: a smaller one does not even pay for a
doubling of the memory."""

MOST_ROWS = 36
"""Most rows of the figure."""

HEADING_WIDTH = 50
"""Most characters of a setting with the value that it is compared with."""

JOINT_GAIN = "its share of a joint gain"

NOTE_WIDTH = 48
"""Most characters of a reason in a note."""


class Effect(StrEnum):
    """What the measurements say of a setting; the value is the text shown to readers."""

    FASTER = "faster"
    SLOWER = "slower"
    UNSURE = "not sure"
    INERT = "inert"
    JOINT = "only together"
    EXCLUDED = "excluded"
    NOT_TRIED = "not tried"


MARKS = {
    Effect.FASTER: Mark(BLUE, "circle"),
    Effect.SLOWER: Mark(ORANGE, "square"),
    Effect.UNSURE: Mark(GREY, "circle-open"),
    Effect.INERT: Mark(GREY, "diamond"),
    Effect.JOINT: Mark(GREY, "diamond-open"),
    Effect.EXCLUDED: Mark(VERMILION, "x"),
    Effect.NOT_TRIED: Mark(GREY, "x-open"),
}


class EffectRow(NamedTuple):
    """One setting, or one step that was left undone.

    Attributes
    ----------
    name
        The setting, or what was not tried.
    effect
        What the measurements say of it.
    gain
        Time with the default over time with the setting; None where it was not measured.
    why
        Why there is no gain, or why it is not that of the setting alone; empty otherwise.
    over
        The value that the setting is compared with; empty for the default.
    depth
        Depth of the network that was measured; empty without a gain.
    """

    name: str
    effect: Effect
    gain: Interval | None
    why: str = ""
    over: str = ""
    depth: str = ""


class EffectsInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    rows
        What matters first, then what is not sure, what is inert, what was only measured together
        with other settings, what was excluded, and what was not tried.
    left_out
        Number of further rows.
    """

    rows: tuple[EffectRow, ...]
    left_out: int

    def named(self, effect: Effect) -> tuple[str, ...]:
        """The settings with this effect."""
        return tuple(row.name for row in self.rows if row.effect is effect)


def effects_info(
    effects: Sequence[SettingEffect],
    recommendation: Recommendation,
    not_tried: Sequence[str] = (),
    most: int = MOST_ROWS,
) -> EffectsInfo | None:
    """The rows of the figure; None if nothing was compared, excluded or left out.

    Parameters
    ----------
    effects
        Effects of the settings, the largest gain first.
    recommendation
        Recommendation from the same records: its failures are the excluded settings.
    not_tried
        One sentence for each step that was left undone, with the reason.
    most
        Most rows.
    """
    rows = [
        EffectRow(
            settings_label([(one.knob, one.value)]),
            effect_of(one.gain) if one.alone else Effect.JOINT,
            one.gain,
            "" if one.alone else JOINT_GAIN,
            one.over,
            one.depth,
        )
        for one in effects
    ]
    rows += _excluded(recommendation, {row.name for row in rows})
    rows += [EffectRow("", Effect.NOT_TRIED, None, sentence) for sentence in not_tried]
    order = list(Effect)
    rows.sort(key=lambda row: order.index(row.effect))
    return EffectsInfo(tuple(rows[:most]), max(0, len(rows) - most)) if rows else None


def effect_of(gain: Interval) -> Effect:
    """What a gain with its interval says: a difference is called only if the interval excludes 1.

    Parameters
    ----------
    gain
        Time with the default over time with the setting.
    """
    if gain.ends is None:
        return Effect.UNSURE
    low, high = gain.ends
    if low >= 1 / (1 + INERT) and high <= 1 + INERT:
        return Effect.INERT
    if low > 1:
        return Effect.FASTER
    return Effect.SLOWER if high < 1 else Effect.UNSURE


def effects_sentence(info: EffectsInfo) -> str:
    """What matters and what does not, in words; empty if neither is sure."""
    parts = []
    faster, inert = info.named(Effect.FASTER), info.named(Effect.INERT)
    if faster:
        parts.append(f"Surely faster: {', '.join(faster)}.")
    if slower := info.named(Effect.SLOWER):
        parts.append(f"Surely slower: {', '.join(slower)}.")
    if inert:
        parts.append(f"Less than {percent_text(INERT)} either way: {', '.join(inert)}.")
    return " ".join(parts)


def effects_figure(info: EffectsInfo) -> go.Figure:
    """One dot with its interval per setting; a setting without a gain has a note only."""
    figure = go.Figure()
    for effect, mark in MARKS.items():
        dots = [
            Dot(
                position,
                row.gain,
                f"{wrapped(row.name)}<br>over {wrapped(row.over or 'the default')}<br>"
                f"{ratio_text(row.gain)}<br>{count_text(row.gain.count, 'pair')} of processes, "
                f"{row.depth} network",
            )
            for position, row in enumerate(info.rows)
            if row.effect is effect and row.gain is not None
        ]
        add_dots(figure, mark, dots, name=effect.value)
    finish_rows(
        figure,
        [_heading(row) for row in info.rows],
        [_note(row) for row in info.rows],
        [row.gain for row in info.rows if row.gain is not None],
        "times as fast as with the other value (95 % interval)",
    )
    return figure


def _note(row: EffectRow) -> Note:
    colour = MARKS[row.effect].colour
    if row.gain is None:
        reason = shortened(row.why, NOTE_WIDTH)
        return Note(f"{row.effect}: {reason}" if row.name else reason, colour)
    reason = row.why or f"{row.effect}, {count_text(row.gain.count, 'pair')}"
    return Note(f"<b>{ratio_text(row.gain)}</b> {reason}", colour)


def _heading(row: EffectRow) -> str:
    """The setting, and the value that it is compared with if that is not the default."""
    if not row.name:
        return row.effect.value
    over = f" over {row.over}" if row.over else ""
    return shortened(f"{row.name}{over}", HEADING_WIDTH)


def _excluded(recommendation: Recommendation, known: set[str]) -> list[EffectRow]:
    """The settings of failed or wrong configurations that no comparison holds."""
    good = {
        pair
        for row in recommendation.rows
        if status_of(row, recommendation.best) not in (Status.DISAGREES, Status.FAILED)
        for pair in row.settings.items()
    }
    found: dict[str, EffectRow] = {}
    for row in recommendation.rows:
        if status_of(row, recommendation.best) not in (Status.DISAGREES, Status.FAILED):
            continue
        own = sorted(pair for pair in row.settings.items() if pair not in good)
        name = settings_label(own)
        if own and name not in known:
            reason = outcome_text(row.outcome, row.reason)
            found.setdefault(name, EffectRow(name, Effect.EXCLUDED, None, reason))
    return list(found.values())
