"""Which networks a program has configured.

The ColabFold build runs other networks than AlphaFold 3's (``global_config.model``). What perfkit
does to features and configuration is right for AlphaFold 3's own network only. A program may
featurise an input before it builds the network, so the configurations that exist at that moment
are the best evidence.
"""

from __future__ import annotations

import functools
import weakref
from types import ModuleType
from typing import Any

OWN_NETWORK = "alphafold3"
"""Name of AlphaFold 3's own network in the ColabFold build."""


def network_of(global_config: Any) -> str:
    """Return the network that a configuration is for; DeepMind's package has one only."""
    return str(getattr(global_config, "model", OWN_NETWORK))


class NetworksInUse:
    """The configurations of networks that the program holds.

    Attributes
    ----------
    adapted
        Knobs of the features that the network of this process is adapted to, see
        :func:`perfkit.models.af3.foreign.network.adapt_network`.
    """

    def __init__(self) -> None:
        """Start without any configuration."""
        self.adapted: set[str] = set()
        self._configurations: list[weakref.ref[Any]] = []

    def watch(self, module: ModuleType) -> None:
        """Note the configurations that are made from now on.

        Parameters
        ----------
        module
            ``alphafold3.model.model_config``.
        """
        made = module.GlobalConfig
        initialise = made.__init__

        @functools.wraps(initialise)
        def noting(config: Any, *given: Any, **named: Any) -> None:
            initialise(config, *given, **named)
            self._configurations = [known for known in self._configurations if known() is not None]
            self._configurations.append(weakref.ref(config))

        made.__init__ = noting

    def others(self) -> list[str]:
        """Return the names of networks other than AlphaFold 3's own, sorted."""
        held = (known() for known in self._configurations)
        return sorted({network_of(config) for config in held if config is not None} - {OWN_NETWORK})
