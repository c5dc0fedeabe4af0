"""Traces AlphaFold 3's network with native kernels in a program of others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from perfkit.errors import PerfkitError
from perfkit.foreign.adapter import SettingsReport
from perfkit.models.af3.knobs import ATTENTION_CHUNK, KERNELS, UPSTREAM, WHOLE
from perfkit.models.af3.network.kernels import load_kernels, native_kernels, why_no_native_kernels
from perfkit.models.shared_knobs import NATIVE

type Load = Callable[[], tuple[str, ...]]
"""Loads the kernels, see :func:`perfkit.models.af3.network.kernels.load_kernels`."""


class NativeKernels:
    """The native kernels of a program, which are loaded when its first network is built.

    Parameters
    ----------
    settings
        Knob -> value.
    report
        Where to report what became of the setting.
    why_not
        Says why there are no kernels here.
    load
        Loads the kernels.
    trace
        Fills the network's places for kernels while it is traced.

    Attributes
    ----------
    are_set
        Whether the settings ask for kernels and this machine can have them.
    take_all_rows
        Whether triangle attention takes all rows at once with the kernels.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        report: SettingsReport,
        why_not: Callable[[], str | None] = why_no_native_kernels,
        load: Load = load_kernels,
        trace: Callable[[], contextlib.AbstractContextManager[None]] = native_kernels,
    ) -> None:
        self._report = report
        self._load = load
        self._trace = trace
        self._are_loaded: bool | None = None
        self.are_set = settings.get(KERNELS.name) == NATIVE
        self.take_all_rows = settings.get(ATTENTION_CHUNK.name, UPSTREAM) in (UPSTREAM, WHOLE)
        reason = why_not() if self.are_set else None
        if reason is not None:
            report.could_not(KERNELS.name, reason)
            self.are_set = False

    def are_loaded(self) -> bool:
        """Whether the kernels are set and could be loaded; loads them the first time."""
        if not self.are_set:
            return False
        if self._are_loaded is None:
            self._are_loaded = self._try_to_load()
        return self._are_loaded

    def tracing(self) -> contextlib.AbstractContextManager[None]:
        """Trace a network in this block, with the kernels if they are loaded."""
        if not self.are_loaded():
            return contextlib.nullcontext()
        self._report.took_effect(KERNELS.name)
        return self._trace()

    def _try_to_load(self) -> bool:
        try:
            sentences = self._load()
        except (PerfkitError, ImportError) as error:
            # The program runs on without them, and the reason is reported.
            self._report.could_not(KERNELS.name, str(error))
            return False
        for sentence in sentences:
            self._report.say(sentence)
        return True
