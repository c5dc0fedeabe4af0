"""Configurations: immutable sets of knob values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from perfkit.errors import UserError, unknown_name
from perfkit.knobs import allocators, cpus, xla_flags
from perfkit.knobs.allocators import is_available
from perfkit.knobs.installed_flags import flags_text, installed_flags
from perfkit.knobs.jaxlib import JAXLIB
from perfkit.knobs.knob import CompilerOption, Knob, Layer
from perfkit.knobs.parsers import any_text, boolean
from perfkit.records.settings import FORMER_NAMES, RENAMED, settings_digest, settings_label


@dataclass(frozen=True, order=True)
class Configuration:
    """Knob values that differ from stock, which is what a user gets who sets nothing.

    Attributes
    ----------
    settings
        Pairs of knob name and canonical value, sorted by name. Defaults are left out, so that
        equal configurations compare equal however they were written.
    layers
        Layer of each setting, in the same order.
    """

    settings: tuple[tuple[str, str], ...] = ()
    layers: tuple[Layer, ...] = ()

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits, the same on every machine."""
        return settings_digest(self.settings)

    @property
    def label(self) -> str:
        """A short text for a person: ``stock``, or the settings."""
        return settings_label(self.settings)

    def as_dict(self) -> dict[str, str]:
        """The settings as a plain dictionary."""
        return dict(self.settings)

    def of_layer(self, layer: Layer) -> dict[str, str]:
        """The settings that take effect in ``layer``."""
        pairs = zip(self.settings, self.layers, strict=True)
        return dict(setting for setting, own in pairs if own is layer)

    def environment(self) -> dict[str, str]:
        """Variables of the child process: XLA's flags, thread pool and allocator."""
        return self._environment(self.of_layer(Layer.XLA))

    def process_environment(self) -> dict[str, str]:
        """Variables without the flags of :meth:`compiler_options`.

        Configurations with equal ones, and with equal CPUs, can run in one process.
        """
        flags = self.of_layer(Layer.XLA)
        options = self.compiler_options()
        return self._environment({name: flags[name] for name in flags if name not in options})

    def compiler_options(self) -> dict[str, CompilerOption]:
        """Values for ``compiler_options`` of JAX's ``compile``, by name of the XLA flag.

        Together with :meth:`process_environment` they have the effect of :meth:`environment`.
        """
        return xla_flags.compiler_options(self.of_layer(Layer.XLA))

    def _environment(self, flags: Mapping[str, str]) -> dict[str, str]:
        """The variables with these XLA flags."""
        text = flags_text(flags)
        variables = {"XLA_FLAGS": text} if text else {}
        for value in self.of_layer(Layer.CPUS).values():
            variables |= cpus.environment(value)
        for value in self.of_layer(Layer.ALLOCATOR).values():
            variables |= allocators.environment(value)
        return variables

    def affinity(self, allowed: Sequence[int] | None = None) -> tuple[int, ...]:
        """The CPUs that the run is bound to.

        Parameters
        ----------
        allowed
            CPUs to choose from; by default those that this process may use.

        Raises
        ------
        UserError
            More CPUs are requested than this process may use.
        """
        value = self.of_layer(Layer.CPUS).get(cpus.CPUS_KNOB.name, cpus.ALL_CPUS)
        return cpus.affinity(value, allowed)

    def overrides(self) -> dict[str, str]:
        """The settings that the model itself applies."""
        return self.of_layer(Layer.MODEL)

    @property
    def jaxlib(self) -> str | None:
        """The version of jaxlib that is set, or None for that of the running Python."""
        return self.of_layer(Layer.PACKAGES).get(JAXLIB)

    def unavailable(self, installed: Callable[[str], bool] = is_available) -> str | None:
        """One sentence on why this machine cannot run the configuration, or None if it can.

        Parameters
        ----------
        installed
            Whether the allocator of a name is installed.
        """
        for value in self.of_layer(Layer.ALLOCATOR).values():
            if not installed(value):
                return allocators.not_installed(value)
        return None

    def ensure_possible(self) -> tuple[int, ...]:
        """Check that this machine can run the configuration.

        Returns
        -------
        tuple of int
            The CPUs that the run is bound to.

        Raises
        ------
        UserError
            An allocator is not installed, or more CPUs are requested than this process may use.
        """
        missing = self.unavailable()
        if missing is not None:
            raise UserError(missing)
        return self.affinity()


STOCK = Configuration()
"""What a user gets who sets nothing."""

STOCK_LABEL = STOCK.label
"""Label of :data:`STOCK`."""


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
        """The knob called ``name``; every flag of the installed jaxlib is a knob.

        Raises
        ------
        UserError
            There is no such knob; the message names the nearest one.
        """
        if name in self._knobs:
            return self._knobs[name]
        if name in FORMER_NAMES:
            renamed = [
                f"write {'='.join(present)} instead of {'='.join(former)}"
                for former, present in RENAMED.items()
                if former[0] == name
            ]
            raise UserError(f"knob {name!r} was renamed: {', '.join(renamed)}")
        if name.startswith("xla_"):
            installed = self._installed()
            if name in installed:
                default = installed[name]
                summary = "a flag of the installed jaxlib"
                parse = boolean if default in ("true", "false") else any_text
                return Knob(name, default, Layer.XLA, False, summary, parse)
            raise unknown_name("knob", name, {**self._knobs, **installed})
        raise unknown_name("knob", name, self._knobs)

    def configuration(self, values: Mapping[str, str]) -> Configuration:
        """The configuration with ``values``; defaults are left out.

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

    def known_memory(self, settings: Mapping[str, str]) -> float:
        """Peak memory with some settings relative to stock, as far as the knobs state it."""
        knobs = map(self.knob, settings)
        return math.prod(knob.search.memory_ratio for knob in knobs if knob.search is not None)

    def parse_setting(self, text: str) -> tuple[str, str]:
        """Name and canonical value of ``NAME=VALUE``.

        Raises
        ------
        UserError
            The text has another form, or the name or the value is impossible.
        """
        name, values = parse_values(text)
        return name, self.knob(name).canonical(values)


def parse_values(text: str) -> tuple[str, str]:
    """Name and right-hand side of ``NAME=...``.

    Raises
    ------
    UserError
        The text has no equals sign or no name.
    """
    name, equals, values = text.partition("=")
    if not equals or not name.strip():
        raise UserError(f"{text!r} is not of the form NAME=VALUE")
    return name.strip(), values.strip()
