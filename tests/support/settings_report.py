"""Keeps what an adapter reports about settings, for assertions."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class KeptReport:
    """A :class:`perfkit.foreign.adapter.SettingsReport` that keeps everything in order."""

    effects: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[tuple[str, str]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    inputs: list[tuple[str, int]] = field(default_factory=list)

    def took_effect(self, setting: str, detail: str = "") -> None:
        self.effects.append((setting, detail))

    def could_not(self, setting: str, reason: str) -> None:
        self.refusals.append((setting, reason))

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def predicts(self, name: str, size: int) -> None:
        self.inputs.append((name, size))
