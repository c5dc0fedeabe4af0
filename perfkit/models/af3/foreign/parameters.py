"""Loads AlphaFold 3's parameters in the precision of the settings, and makes them constants."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from perfkit.foreign.adapter import SettingsReport
from perfkit.models.af3.knobs import PARAMETERS, PRECISION
from perfkit.models.shared_knobs import CONSTANTS, FLOAT32

BY_POSITION = ("static_argnums", "donate_argnums", "in_shardings")
"""Options of ``jax.jit`` that count arguments, of which a constant is none."""


def adapt_parameters(
    module: ModuleType, settings: Mapping[str, str], report: SettingsReport
) -> None:
    """Make ``alphafold3.model.params.get_model_haiku_params`` follow the settings.

    With ``parameters=constants``, ``jax.jit`` is replaced, too: a jitted ``apply`` of Haiku that is
    called with the loaded parameters is compiled with them as constants. This is the pattern of
    ``run_alphafold.py``, which binds the parameters to the jitted function, so that they are
    arguments of the executable.

    Parameters
    ----------
    module
        The module.
    settings
        Knob -> value.
    report
        Where to report what became of each setting.
    """
    load = module.get_model_haiku_params
    widens = settings.get(PRECISION.name) == FLOAT32
    bakes = settings.get(PARAMETERS.name) == CONSTANTS
    if not (widens or bakes):
        return
    loaded: list[Any] = []

    @functools.wraps(load)
    def get_model_haiku_params(*given: Any, **named: Any) -> Any:
        parameters = load(*given, **named)
        if widens:
            parameters = widened(parameters)
        if bakes:
            loaded.append(parameters)
        return parameters

    if bakes:
        import jax

        jax.jit = baking_jit(jax.jit, loaded, report)
    module.get_model_haiku_params = get_model_haiku_params  # type: ignore[attr-defined]  # a module of another program


def widened(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return parameters with those of bfloat16 as float32, which changes no value.

    Parameters
    ----------
    parameters
        Module path -> parameter name -> array.
    """
    import jax.numpy as jnp

    return {
        path: {
            name: leaf.astype(jnp.float32) if leaf.dtype == jnp.bfloat16 else leaf
            for name, leaf in leaves.items()
        }
        for path, leaves in parameters.items()
    }


def baking_jit(
    plain_jit: Callable[..., Any], loaded: list[Any], report: SettingsReport
) -> Callable[..., Any]:
    """Make a replacement of ``jax.jit`` that compiles loaded parameters as constants.

    Parameters
    ----------
    plain_jit
        The ``jax.jit`` to replace.
    loaded
        The parameters that the program has loaded so far.
    report
        Where each compiled program is counted.
    """

    @functools.wraps(plain_jit)
    def jit(*given: Any, **options: Any) -> Any:
        jitted = plain_jit(*given, **options)
        if len(given) != 1 or not _is_haikus(given[0]):
            return jitted
        if any(options.get(option) is not None for option in BY_POSITION):
            report.could_not(
                PARAMETERS.name,
                f"the program jits with {' or '.join(BY_POSITION)}, which count the parameters",
            )
            return jitted
        return _BakingFunction(
            given[0], jitted, functools.partial(plain_jit, **options), loaded, report
        )

    return jit


def _is_haikus(function: Any) -> bool:
    """Return whether a function is one that ``haiku.transform`` returned."""
    return str(getattr(function, "__module__", "")).partition(".")[0] == "haiku"


class _BakingFunction:
    """A jitted function that has its first argument as a constant, if that is loaded parameters.

    Parameters
    ----------
    function
        The function.
    jitted
        The jitted function, for all other arguments.
    jit
        Jits a function of the arguments after the first.
    loaded
        The parameters that the program has loaded so far.
    report
        Where each compiled program is counted.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        jitted: Callable[..., Any],
        jit: Callable[..., Any],
        loaded: list[Any],
        report: SettingsReport,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._jitted = jitted
        self._jit = jit
        self._loaded = loaded
        self._report = report
        self._baked: list[tuple[list[Any], Callable[..., Any]]] = []

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Call the function."""
        # Parameters that the program makes itself may be others at each call.
        if not given or not any(given[0] is known for known in self._loaded):
            return self._jitted(*given, **named)
        parameters, *rest = given
        return self._baked_with(parameters)(*rest, **named)

    def __getattr__(self, name: str) -> Any:
        """Take every other attribute, such as ``lower``, from the jitted function."""
        if name.startswith("__") or "_jitted" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._jitted, name)

    def _baked_with(self, parameters: Any) -> Callable[..., Any]:
        """Return the jitted function of the other arguments.

        Arrays cannot change, but the program can put others into the dictionaries that it loaded.
        """
        import jax

        leaves, structure = jax.tree.flatten(parameters)
        for known, function in self._baked:
            if len(known) == len(leaves) and all(map(operator.is_, known, leaves)):
                return function
        made: Callable[..., Any] = self._jit(self._with(jax.tree.unflatten(structure, leaves)))
        self._baked.append((leaves, made))
        return made

    def _with(self, parameters: Any) -> Callable[..., Any]:
        def baked(*given: Any, **named: Any) -> Any:
            # JAX runs this once for each program that it compiles.
            self._report.took_effect(PARAMETERS.name)
            return self._function(parameters, *given, **named)

        baked.__name__ = self._function.__name__
        return baked
