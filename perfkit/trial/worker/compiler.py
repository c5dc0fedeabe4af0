"""Compilation of lowered programs, through JAX's persistent cache if the trial has one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit.foreign.jax_setup import keep_programs
from perfkit.knobs.knob import CompilerOption
from perfkit.trial.worker.cache import Program
from perfkit.trial.worker.programs import Programs


class Compiler:
    """Compiles for the trials of one worker, which all have the same persistent cache or none."""

    def __init__(self) -> None:
        self._programs: Programs | None = None
        self._events: list[str] = []
        self._started = False

    def start(self, shared: Path | None, own: Path) -> None:
        """Prepare for the compilations of a trial, after JAX was imported.

        Parameters
        ----------
        shared
            Folder of compiled programs that outlives the trial, None for no cache.
        own
            Folder for JAX that only this process uses.
        """
        import jax

        if self._started:
            if self._programs is not None:
                # Other workers may have compiled meanwhile.
                self._programs.offer()
            return
        self._started = True
        if shared is None:
            jax.config.update("jax_enable_compilation_cache", False)
            return
        self._programs = Programs(shared, own)
        keep_programs(jax, self._programs.offer())
        # Only these events show a cache hit: the compile call looks the same either way.
        jax.monitoring.register_event_listener(lambda event, **_: self._events.append(event))

    def compile(self, lowered: Any, options: Mapping[str, CompilerOption]) -> Program:
        """Compile what JAX's ``lower`` has returned, with options of the compiler."""
        # Small programs, such as those that move arrays, have cache hits of their own.
        self._events.clear()
        compiled = lowered.compile(compiler_options=dict(options) or None)
        hit = any(event.endswith("/cache_hits") for event in self._events)
        return Program(compiled, "off" if self._programs is None else "hit" if hit else "miss")

    def publish(self) -> None:
        """Share what was compiled with other workers."""
        if self._programs is not None:
            self._programs.publish()

    def close(self) -> None:
        """Remove what only this process could use."""
        if self._programs is not None:
            self._programs.close()
