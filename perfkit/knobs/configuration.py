"""Configurations: immutable sets of knob values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from perfkit.errors import UserError, unknown_name
from perfkit.files import short_digest
from perfkit.knobs import allocators, cpus, xla_flags
from perfkit.knobs.installed_flags import flags_text, installed_flags
from perfkit.knobs.knob import Knob, Layer, any_text, boolean

STOCK_LABEL = "stock"


@dataclass(frozen=True, order=True)
class Configuration:
    """Knob values that differ from what a user gets who sets nothing.

    Parameters
    ----------
    settings
        Pairs of knob name and canonical value, in order of the names; defaults are left out, so
        that equal configurations compare equal however they were written.
    layers
        The layer of each setting, in the same order.
    """

    settings: tuple[tuple[str, str], ...] = ()
    layers: tuple[Layer, ...] = ()

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits, the same on every machine."""
        text = json.dumps(self.settings, separators=(",", ":"))
        return short_digest(text)

    @property
    def label(self) -> str:
        """A short text for a person: ``stock``, or the settings."""
        if not self.settings:
            return STOCK_LABEL
        return " ".join(f"{name.removeprefix('xla_')}={value}" for name, value in self.settings)

    def as_dict(self) -> dict[str, str]:
        """The settings as a plain dictionary."""
        return dict(self.settings)

    def of_layer(self, layer: Layer) -> dict[str, str]:
        """The settings that take hold in ``layer``."""
        pairs = zip(self.settings, self.layers, strict=True)
        return dict(setting for setting, own in pairs if own is layer)

    def environment(self) -> dict[str, str]:
        """Variables of the child process: XLA's flags, thread pool, allocator."""
        flags = flags_text(self.of_layer(Layer.XLA))
        variables = {"XLA_FLAGS": flags} if flags else {}
        for value in self.of_layer(Layer.CPUS).values():
            variables |= cpus.environment(value)
        for value in self.of_layer(Layer.ALLOCATOR).values():
            variables |= allocators.environment(value)
        return variables

    def affinity(self) -> tuple[int, ...]:
        """The CPUs that the run is bound to.

        Raises
        ------
        UserError
            More CPUs are asked for than this process is allowed.
        """
        return cpus.affinity(self.of_layer(Layer.CPUS).get(cpus.CPUS_KNOB.name, cpus.ALL_CPUS))

    def overrides(self) -> dict[str, str]:
        """What the model itself applies."""
        return self.of_layer(Layer.MODEL)

    def unavailable(self) -> str | None:
        """Why this machine cannot run the configuration, in one sentence, or None."""
        for value in self.of_layer(Layer.ALLOCATOR).values():
            if not allocators.is_available(value):
                package = allocators.ALLOCATORS[value].package
                return f"allocator {value!r} is not on this machine (Debian package {package})"
        return None

    def ensure_possible(self) -> tuple[int, ...]:
        """The CPUs that the run is bound to, where this machine has all that it needs.

        Raises
        ------
        UserError
            An allocator is not on this machine, or more CPUs are asked for than are allowed.
        """
        missing = self.unavailable()
        if missing is not None:
            raise UserError(missing)
        return self.affinity()


STOCK = Configuration()
"""What a user gets who sets nothing."""


class Catalogue:
    """The knobs that may be set for one model.

    Parameters
    ----------
    model_knobs
        The model's own knobs, in addition to those that every model has.
    installed
        Returns name and stock value of every XLA flag that may be set; by default, those of the
        installed jaxlib. Called only for a flag that perfkit has no knob for.
    """

    def __init__(
        self,
        model_knobs: Iterable[Knob] = (),
        installed: Callable[[], Mapping[str, str]] = installed_flags,
    ) -> None:
        self._installed = installed
        common = (cpus.CPUS_KNOB, allocators.ALLOCATOR_KNOB, *xla_flags.KNOWN_FLAGS)
        self._knobs = {knob.name: knob for knob in (*model_knobs, *common)}

    def __iter__(self) -> Iterator[Knob]:
        return iter(self._knobs.values())

    def knob(self, name: str) -> Knob:
        """The knob called ``name``; any flag of the installed jaxlib is one.

        Raises
        ------
        UserError
            There is none; the message names the nearest.
        """
        if name in self._knobs:
            return self._knobs[name]
        if name.startswith("xla_"):
            installed = self._installed()
            if name in installed:
                default = installed[name]
                summary = "a flag of the installed jaxlib"
                parse = boolean if default in ("true", "false") else any_text
                return Knob(name, default, (default,), Layer.XLA, False, summary, parse)
            raise unknown_name("knob", name, {**self._knobs, **installed})
        raise unknown_name("knob", name, self._knobs)

    def configuration(self, values: Mapping[str, str]) -> Configuration:
        """The configuration with ``values``; what equals the default is left out.

        Raises
        ------
        UserError
            A knob is unknown or a value impossible.
        """
        chosen: list[tuple[str, str, Layer]] = []
        for name in sorted(values):
            knob = self.knob(name)
            value = knob.canonical(values[name])
            if value != knob.default:
                chosen.append((name, value, knob.layer))
        return Configuration(
            tuple((name, value) for name, value, _ in chosen), tuple(layer for *_, layer in chosen)
        )

    def changed(self, base: Configuration, name: str, value: str) -> Configuration:
        """``base`` with one knob set to ``value``."""
        return self.configuration(base.as_dict() | {name: value})

    def parse_setting(self, text: str) -> tuple[str, str]:
        """Name and canonical value of ``NAME=VALUE``.

        Raises
        ------
        UserError
            The text has another form, or name or value is impossible.
        """
        name, values = parse_values(text)
        return name, self.knob(name).canonical(values)


def parse_values(text: str) -> tuple[str, str]:
    """Name and right-hand side of ``NAME=...``.

    Raises
    ------
    UserError
        There is no equals sign or no name.
    """
    name, equals, values = text.partition("=")
    if not equals or not name.strip():
        raise UserError(f"{text!r} is not of the form NAME=VALUE")
    return name.strip(), values.strip()
