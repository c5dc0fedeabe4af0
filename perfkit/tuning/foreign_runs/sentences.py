"""What a person reads after a command has run under a preset or the guard."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from perfkit.foreign.report import ForeignReport, SettingOutcome
from perfkit.knobs.knob import Layer
from perfkit.models import get_model
from perfkit.tuning.apply import adapter_of, watched_by
from perfkit.tuning.foreign_runs.run import ForeignRun
from perfkit.tuning.preset import Preset
from perfkit.units import bytes_text, count_text, seconds_text

SHOWN_REASONS = 3
"""Most reasons that a line shows."""


def setting_sentences(
    preset: Preset,
    report: ForeignReport,
    impossible: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """One line per setting of a preset: how often it took effect, or why it could not.

    A line on the model comes first if the program uses another one than the preset.

    Parameters
    ----------
    preset
        The preset.
    report
        What became of it.
    impossible
        Settings that were not tried -> why.
    """
    configuration = preset.configuration
    pairs = zip(configuration.settings, configuration.layers, strict=True)
    return [
        *_other_models(preset, report),
        *(
            f"{name}={value}: not applied: {impossible[name]}"
            if name in impossible
            else f"{name}={value}: {_outcome(report.settings.get(name), layer, preset, report)}"
            for (name, value), layer in pairs
        ),
    ]


def summary_sentence(run: ForeignRun) -> str:
    """Time, memory, compilations and guard counts of a command in one line."""
    ended, compiled, guard = run.ended, run.report.compilations, run.report.guard
    words = [
        f"wall {seconds_text(ended.wall_s)}",
        f"CPU {seconds_text(ended.user_s + ended.system_s)}",
    ]
    if run.peak_rss_bytes:
        words.append(f"peak memory {bytes_text(run.peak_rss_bytes)}")
    looked_up = compiled.hits + compiled.misses
    if looked_up:
        words.append(
            f"{compiled.hits} of {count_text(looked_up, 'program')} from the compile cache"
        )
    if compiled.uncached:
        words.append(f"{count_text(compiled.uncached, 'program')} compiled without a cache")
    if run.request.guard is not None:
        words.append(f"guard: {guard['lifted']} lifted, {guard['zeroed']} zeroed")
    return ", ".join(words)


def _outcome(
    outcome: SettingOutcome | None, layer: Layer, preset: Preset, report: ForeignReport
) -> str:
    """What became of a setting, as the end of a sentence."""
    if outcome is None:
        why = _why_not_seen(layer, preset, report)
        return f"not applied: {why}" if layer is Layer.MODEL else f"set for the command, but {why}"
    reasons = _listed(outcome.reasons)
    if not outcome.times:
        return f"not applied: {reasons}"
    details = f" ({_listed(outcome.details)})" if outcome.details else ""
    failed = f"; not applied {_times(sum(outcome.reasons.values()))}: {reasons}" if reasons else ""
    return f"applied {_counted(outcome.times, layer)}{details}{failed}"


def _why_not_seen(layer: Layer, preset: Preset, report: ForeignReport) -> str:
    """Why no process has reported anything on a setting: a clause."""
    if not report.started:
        if report.unreached:
            return "its Python processes keep perfkit's hook out"
        return "no Python process was started that perfkit can reach"
    if not report.jax_processes:
        return "no Python process imported JAX"
    if layer is Layer.XLA:
        return "nothing was compiled"
    adapter = adapter_of(get_model(preset.model))
    if adapter is None:
        return (
            f"perfkit has no adapter for programs that run {preset.model}, so that the program "
            "itself has to apply it"
        )
    if preset.model not in report.models:
        package = watched_by(adapter)[0].partition(".")[0]
        return f"the program never imported {package}"
    return "the program never asked for it"


def _other_models(preset: Preset, report: ForeignReport) -> list[str]:
    """A sentence if the program runs another model than that of the preset."""
    others = {name: package for name, package in report.models.items() if name != preset.model}
    if not others or preset.model in report.models:
        return []
    used = ", ".join(f"{name} (it imported {package})" for name, package in others.items())
    return [
        f"the preset is for {preset.model}, but the program runs {used}: give a preset of that "
        "model"
    ]


def _counted(times: int, layer: Layer) -> str:
    if layer is Layer.XLA:
        return f"to {count_text(times, 'program')}"
    if layer is Layer.MODEL:
        return _times(times)
    return f"in {times} process{'' if times == 1 else 'es'}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _listed(counted: Mapping[str, int]) -> str:
    """Texts with their counts, the most frequent ones first."""
    ordered = sorted(counted.items(), key=lambda item: -item[1])
    texts = [text if count == 1 else f"{text} ({count} times)" for text, count in ordered]
    rest = len(texts) - SHOWN_REASONS
    return "; ".join([*texts[:SHOWN_REASONS], *([f"and {rest} more"] if rest > 0 else [])])
