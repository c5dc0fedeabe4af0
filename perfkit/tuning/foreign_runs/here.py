"""Apply a preset to this process, which has not imported JAX yet."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError
from perfkit.foreign.adapter import ForeignOptions
from perfkit.foreign.install import ForeignProcess
from perfkit.foreign.plan import PLAN_VARIABLE, ForeignPlan
from perfkit.foreign.report import read_report
from perfkit.knobs import allocators
from perfkit.knobs.allocators import ALLOCATOR_KNOB
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.environment import preset_conflicts
from perfkit.knobs.knob import Layer
from perfkit.tuning.apply import foreign_plan, preset_environment
from perfkit.tuning.foreign_runs.programs import offered_programs
from perfkit.tuning.foreign_runs.sentences import setting_sentences
from perfkit.tuning.preset import Preset

_applied = False


@dataclass(frozen=True, repr=False)
class AppliedPreset:
    """A preset that was applied to this process.

    Attributes
    ----------
    preset
        The preset.
    notices
        What could not be applied any more, and what the preset replaces.
    journals
        Folder in which this process counts what takes effect; it is removed when the process
        ends.
    impossible
        Settings that cannot be applied to a running process -> why.
    """

    preset: Preset
    notices: tuple[str, ...]
    journals: Path
    impossible: Mapping[str, str]

    def sentences(self) -> list[str]:
        """What became of each setting so far, one line per setting.

        Returns
        -------
        list of str
            For example ``bucket=exact: applied once``.
        """
        report = read_report(self.journals)
        return [
            *setting_sentences(self.preset, report, self.impossible),
            *report.sentences,
        ]

    def __repr__(self) -> str:
        return "\n".join(self.sentences())


def apply_here(preset: Preset, options: ForeignOptions) -> AppliedPreset:
    """Apply a preset to this process: variables, CPUs, compile cache, and the model's adapter.

    Parameters
    ----------
    preset
        The preset.
    options
        Options that are no knobs.

    Raises
    ------
    UserError
        JAX is imported already, a preset was applied already, or there are too few CPUs.
    """
    global _applied
    _refuse_too_late()
    configuration = preset.configuration
    cpus = configuration.affinity()
    journals = Path(tempfile.mkdtemp(prefix="perfkit-apply-")).resolve()
    kept, sentences = offered_programs(preset, journals)
    plan = foreign_plan(
        preset,
        journals,
        options=options,
        programs=None if kept is None else kept.own,
        running=True,
    )
    owner = os.getpid()

    def leave() -> None:
        # A forked process that ends must not take the folder away from this one.
        if os.getpid() == owner:
            if kept is not None:
                kept.publish()
            shutil.rmtree(journals, ignore_errors=True)

    # Functions are called in reverse order: JAX and the journal end before.
    atexit.register(leave)
    impossible = _impossible(configuration)
    notices = [*preset_conflicts(configuration, os.environ), *sentences]
    notices += [f"{name} is not applied: {why}" for name, why in impossible.items()]
    os.environ.update(_variables(configuration))
    os.sched_setaffinity(0, cpus)
    ForeignProcess(plan).begin()
    _applied = True
    return AppliedPreset(preset, tuple(notices), journals, impossible)


def _refuse_too_late() -> None:
    """Refuse a process in which the preset could not take effect, or would do so twice."""
    loaded = [name for name in ("jax", "jaxlib") if name in sys.modules]
    if loaded:
        raise UserError(
            f"{loaded[0]} is imported already, and reads its settings only then: call "
            "perfkit.apply before the first import of jax and of the model's package"
        )
    text = os.environ.get(PLAN_VARIABLE)
    from_outside = text is not None and ForeignPlan.from_json(text).applies_preset
    if _applied or from_outside:
        by = "perfkit exec" if from_outside else "perfkit.apply"
        raise UserError(f"{by} has applied a preset to this process already: apply one preset only")


def _impossible(configuration: Configuration) -> dict[str, str]:
    """Settings that a running process cannot take -> why."""
    return dict.fromkeys(
        configuration.of_layer(Layer.ALLOCATOR),
        "an allocator is chosen when a process starts; run the program with "
        "'perfkit exec --preset' for it",
    )


def _variables(configuration: Configuration) -> dict[str, str]:
    """The variables that take effect in a running process, with what is set already."""
    wanted = preset_environment(configuration)
    allocator = configuration.of_layer(Layer.ALLOCATOR).get(ALLOCATOR_KNOB.name)
    needs_start = {} if allocator is None else allocators.environment(allocator)
    return {name: wanted[name] for name in configuration.environment() if name not in needs_start}
