"""Clocks: wall and CPU time, page faults and context switches of each stage.

The child measures its stages itself (:mod:`perfkit.trial.worker.stages`); this observer adds them
up.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from perfkit.observers.observer import Finding, ObservedRun, Observer, Process


class StageClocks(BaseModel):
    """Times and rates of one stage; those of ``steady`` cover all passes.

    Attributes
    ----------
    wall_s, user_s, system_s
        Wall seconds, and CPU seconds in user mode and in the kernel.
    faults_per_s
        Page faults per second.
    switches_per_s, involuntary_switches_per_s
        Context switches per second: all, and those that the kernel forced.
    """

    model_config = ConfigDict(frozen=True)

    wall_s: float
    user_s: float
    system_s: float
    faults_per_s: float
    switches_per_s: float
    involuntary_switches_per_s: float


class ClocksResult(BaseModel):
    """Results of the clocks.

    Attributes
    ----------
    stages
        Times and rates by name of the stage.
    """

    model_config = ConfigDict(frozen=True)

    stages: dict[str, StageClocks]


class Clocks(Observer):
    """Adds up the stages. The child calls ``getrusage`` twice per stage for it."""

    name = "clocks"
    process = Process.TIMED
    summary = "wall, user and system time, page faults and context switches of each stage"

    def results(self, run: ObservedRun) -> Finding:
        """Times and rates of each stage."""
        found: dict[str, StageClocks] = {}
        for name in dict.fromkeys(stage.name for stage in run.stages):
            own = [stage for stage in run.stages if stage.name == name]
            wall_s = sum(stage.wall_s for stage in own)
            if wall_s <= 0:
                continue
            involuntary = sum(stage.involuntary_switches for stage in own)
            voluntary = sum(stage.voluntary_switches for stage in own)
            faults = sum(stage.minor_faults + stage.major_faults for stage in own)
            found[name.value] = StageClocks(
                wall_s=wall_s,
                user_s=sum(stage.user_s for stage in own),
                system_s=sum(stage.system_s for stage in own),
                faults_per_s=faults / wall_s,
                switches_per_s=(voluntary + involuntary) / wall_s,
                involuntary_switches_per_s=involuntary / wall_s,
            )
        return Finding(ClocksResult(stages=found).model_dump())
