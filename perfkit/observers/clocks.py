"""Clocks: wall, user, system, page faults and context switches of each stage and of the whole.

The stages are read inside the child (:mod:`perfkit.trial.worker.stages`); here they are added up.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from perfkit.observers.observer import Finding, Observer, Place, Seen


class StageClocks(BaseModel):
    """Rates of one stage; all passes of ``steady`` together."""

    model_config = ConfigDict(frozen=True)

    wall_s: float
    user_s: float
    system_s: float
    faults_per_s: float
    switches_per_s: float
    involuntary_switches_per_s: float


class ClocksSeen(BaseModel):
    """What the clocks say, by stage."""

    model_config = ConfigDict(frozen=True)

    stages: dict[str, StageClocks]


class Clocks(Observer):
    """Always on: costs two ``getrusage`` calls a stage."""

    name = "clocks"
    place = Place.TIMED
    summary = "wall, user and system time, page faults, context switches of each stage"

    def results(self, seen: Seen) -> Finding:
        """The stages as rates."""
        found: dict[str, StageClocks] = {}
        for name in dict.fromkeys(stage.name for stage in seen.stages):
            own = [stage for stage in seen.stages if stage.name == name]
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
        return Finding(ClocksSeen(stages=found).model_dump())
