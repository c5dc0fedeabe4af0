"""The plan that a parent hands to the Python processes of a command, in an environment variable.

Imports the standard library only.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from perfkit.foreign.adapter import ForeignOptions

PLAN_VARIABLE = "PERFKIT_FOREIGN_PLAN"
"""Environment variable with the plan as JSON."""

MODE_LIFT = "lift"
"""Mode of the guard: lift operands that left their domain by rounding."""

MODE_ZERO = "zero"
"""Mode of the guard: lift, and set differences to zero that are positive only by rounding."""


@dataclass(frozen=True)
class ForeignPlan:
    """What to do in each Python process of a command.

    Attributes
    ----------
    journals
        Folder in which each process keeps its journal.
    guard
        Mode of the domain guard, :data:`MODE_LIFT` or :data:`MODE_ZERO`; None for no guard.
    adapter
        Module of the model's adapter; None without one.
    watched
        Modules of the foreign program that the adapter waits for.
    settings
        The model's own settings, which the adapter applies.
    options
        Options of the run for the adapter.
    flags
        XLA flags of the preset, which the environment sets.
    variables
        Other variables that the environment sets, by setting.
    library
        Path of the preloaded allocator; None without one.
    cpus
        Number of CPUs of the setting ``cpus``; None where it is not set.
    programs
        Folder for JAX's persistent compilation cache, with one folder per version; None to leave
        the cache as it is.
    packages
        Distributions whose versions a process reports.
    models
        Top-level package of a foreign program -> the model that it belongs to.
    """

    journals: str
    guard: str | None = None
    adapter: str | None = None
    watched: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    options: ForeignOptions = field(default_factory=ForeignOptions)
    flags: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    library: str | None = None
    cpus: int | None = None
    programs: str | None = None
    packages: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def applies_preset(self) -> bool:
        """Whether the plan brings settings, and not the guard alone."""
        return bool(self.settings or self.flags or self.variables)

    def to_json(self) -> str:
        """The plan as JSON on one line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ForeignPlan:
        """Read a plan that :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            The text is not JSON.
        TypeError
            Another version of perfkit wrote the plan.
        """
        data = json.loads(text)
        data["options"] = ForeignOptions(**data["options"])
        for name in ("watched", "packages"):
            data[name] = tuple(data[name])
        return cls(**data)
