"""What a model's adapter is: the module that applies the model's settings to a foreign program.

A model names its adapter in :attr:`perfkit.models.base.Model.foreign_adapter`. The adapter runs
inside the foreign program and has two names::

    WATCHED: tuple[str, ...]  # modules of the foreign program

    def adapt(
        module: ModuleType,
        settings: Mapping[str, str],
        options: ForeignOptions,
        report: SettingsReport,
    ) -> None: ...

After the program has imported one of the watched modules, ``adapt`` is called with the module and
the values of the model's knobs. The first part of each watched name is a package that no program
without the model imports. Importing the adapter imports neither JAX nor the program: ``perfkit
exec`` imports it for ``WATCHED``. This module imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol


@dataclass(frozen=True)
class ForeignOptions:
    """Options of a foreign run that are no knobs.

    Attributes
    ----------
    bucket_step
        Tokens by which the sizes of compiled programs grow; None for each input's own size.
    """

    bucket_step: int | None = None


class SettingsReport(Protocol):
    """Where an adapter reports what became of the settings."""

    def took_effect(self, setting: str, detail: str = "") -> None:
        """Count that a setting took effect once.

        Parameters
        ----------
        setting
            Name of the knob.
        detail
            What was changed, for a person; empty if the name says it.
        """
        ...

    def could_not(self, setting: str, reason: str) -> None:
        """Report that a setting could not be applied, to one input or at all.

        Parameters
        ----------
        setting
            Name of the knob.
        reason
            Why, as a clause that completes a sentence.
        """
        ...

    def say(self, sentence: str) -> None:
        """Report a sentence that belongs to no setting; repetitions are dropped."""
        ...

    def predicts(self, name: str, size: int) -> None:
        """Report an input that the program predicts, for a record of the run.

        Parameters
        ----------
        name
            Name of the input.
        size
            Size of the input in the model's unit, e.g. tokens.
        """
        ...


class Adapter(Protocol):
    """The module of an adapter.

    Attributes
    ----------
    WATCHED
        Names of the modules of the foreign program after whose import ``adapt`` is called.
    """

    WATCHED: tuple[str, ...]

    def adapt(
        self,
        module: ModuleType,
        settings: Mapping[str, str],
        options: ForeignOptions,
        report: SettingsReport,
    ) -> None:
        """Apply the settings of a model to a module of the foreign program.

        Parameters
        ----------
        module
            The module, which has just been imported.
        settings
            Value of each of the model's own knobs that is not at its default.
        options
            Options of the run.
        report
            Where to report what became of each setting.
        """
        ...
