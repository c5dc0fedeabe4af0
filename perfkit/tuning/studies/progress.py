"""How a study reports its progress."""

from __future__ import annotations

from typing import Protocol

from perfkit.records.roles import Role
from perfkit.records.schema import Record


class Progress(Protocol):
    """Receives the events of a study, in the order in which they happen."""

    def trial_started(self, role: Role, label: str) -> None:
        """A trial of a configuration, given by its label, has been started in a role."""
        ...

    def stage(self, stage: str) -> None:
        """The running trial has entered a stage, such as ``compile``."""
        ...

    def trial_finished(self, record: Record) -> None:
        """A trial has ended and left its record."""
        ...

    def say(self, sentence: str) -> None:
        """Show a sentence to the user."""
        ...


class SilentProgress:
    """Shows nothing."""

    def trial_started(self, role: Role, label: str) -> None:
        """Do nothing."""

    def stage(self, stage: str) -> None:
        """Do nothing."""

    def trial_finished(self, record: Record) -> None:
        """Do nothing."""

    def say(self, sentence: str) -> None:
        """Do nothing."""
