"""Settings of a configuration: how they are identified, shown, and read from older files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator

from perfkit.files import short_digest

RENAMED: Mapping[tuple[str, str], tuple[str, str]] = {
    ("bfloat16", "none"): ("precision", "float32"),
    ("bfloat16", "all"): ("precision", "bfloat16"),
}
"""Former to present name and value of knobs that were renamed."""

FORMER_NAMES = frozenset(name for name, _ in RENAMED)


def settings_digest(settings: Sequence[tuple[str, str]]) -> str:
    """Twelve hexadecimal digits, equal on every machine.

    Parameters
    ----------
    settings
        Pairs of knob and value, sorted by knob.
    """
    return short_digest(json.dumps(settings, separators=(",", ":")))


def settings_label(settings: Sequence[tuple[str, str]]) -> str:
    """A short text for a person: ``stock``, or the settings."""
    if not settings:
        return "stock"
    return " ".join(f"{name.removeprefix('xla_')}={value}" for name, value in settings)


def present_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings from any version of perfkit, under the present names of their knobs."""
    return dict(sorted(RENAMED.get(setting, setting) for setting in settings.items()))


type StoredSettings = Annotated[dict[str, str], AfterValidator(present_settings)]
"""Field of a pydantic model whose files may be older than a renamed knob."""
