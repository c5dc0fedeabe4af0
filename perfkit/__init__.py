"""perfkit: measure, guard, tune and plan AlphaFold 3 and GenCast runs on CPUs.

The names below are for notebooks and scripts. ``run``, ``tune``, ``recommend``, ``sweep``,
``profile``, ``plan`` and ``compare`` do what the subcommands of these names do: they take the same
options as keyword arguments, return data instead of printing, and raise :class:`UserError` for bad
input. ``apply`` applies a preset to the program that calls it, before it imports JAX. Every name is
imported when it is first used, so that ``import perfkit`` takes milliseconds.

Examples
--------
>>> import perfkit
>>> tuned = perfkit.tune(model="af3", size=76, budget="15m", progress=print)  # doctest: +SKIP
>>> frame = perfkit.read_records(tuned.folder)  # doctest: +SKIP
>>> perfkit.load_preset(tuned.preset).environment()  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from perfkit.version import __version__

if TYPE_CHECKING:
    from perfkit.api.applying import apply as apply
    from perfkit.api.comparing import CompareResult as CompareResult
    from perfkit.api.comparing import compare as compare
    from perfkit.api.knob_catalogue import knob_catalogue as knob_catalogue
    from perfkit.api.planning import PlanResult as PlanResult
    from perfkit.api.planning import plan as plan
    from perfkit.api.reading import figures as figures
    from perfkit.api.reading import load_preset as load_preset
    from perfkit.api.reading import read_records as read_records
    from perfkit.api.recommending import recommend as recommend
    from perfkit.api.reporting import render_report as render_report
    from perfkit.api.results import RunResult as RunResult
    from perfkit.api.running import profile as profile
    from perfkit.api.running import run as run
    from perfkit.api.running import run_each as run_each
    from perfkit.api.studies.study_results import SweepResult as SweepResult
    from perfkit.api.studies.study_results import TuneResult as TuneResult
    from perfkit.api.studies.sweeping import sweep as sweep
    from perfkit.api.studies.tuning import tune as tune
    from perfkit.api.versions.upgrading import UpgradeResult as UpgradeResult
    from perfkit.api.versions.upgrading import compare_jaxlib as compare_jaxlib
    from perfkit.errors import UserError as UserError

_MODULES = {
    "CompareResult": "perfkit.api.comparing",
    "PlanResult": "perfkit.api.planning",
    "RunResult": "perfkit.api.results",
    "SweepResult": "perfkit.api.studies.study_results",
    "TuneResult": "perfkit.api.studies.study_results",
    "UpgradeResult": "perfkit.api.versions.upgrading",
    "UserError": "perfkit.errors",
    "apply": "perfkit.api.applying",
    "compare": "perfkit.api.comparing",
    "compare_jaxlib": "perfkit.api.versions.upgrading",
    "figures": "perfkit.api.reading",
    "knob_catalogue": "perfkit.api.knob_catalogue",
    "load_preset": "perfkit.api.reading",
    "plan": "perfkit.api.planning",
    "profile": "perfkit.api.running",
    "read_records": "perfkit.api.reading",
    "recommend": "perfkit.api.recommending",
    "render_report": "perfkit.api.reporting",
    "run": "perfkit.api.running",
    "run_each": "perfkit.api.running",
    "sweep": "perfkit.api.studies.sweeping",
    "tune": "perfkit.api.studies.tuning",
}
"""Module of each public name."""

__all__ = ["__version__", *_MODULES]


# A type checker takes a module with __getattr__ to have every attribute.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion in a notebook."""
    return sorted(__all__)
