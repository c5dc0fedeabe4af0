"""The adapter of AlphaFold 3: DeepMind's package and the ColabFold build.

It changes five modules of the package ``alphafold3`` that DeepMind's ``run_alphafold.py`` and
programs like it use. What a package offers is looked up as it is used, so the two packages are
not distinguished by name. See :mod:`perfkit.foreign.adapter` for the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from perfkit.foreign.adapter import ForeignOptions, SettingsReport
from perfkit.models.af3.foreign.dictionary import adapt_dictionary
from perfkit.models.af3.foreign.featurisation import adapt_featurisation
from perfkit.models.af3.foreign.network import adapt_network
from perfkit.models.af3.foreign.networks_in_use import NetworksInUse
from perfkit.models.af3.foreign.parameters import adapt_parameters
from perfkit.models.af3.knobs import KNOBS

_CONFIGURATION = "alphafold3.model.model_config"
_COMPONENTS = "alphafold3.constants.chemical_components"
_FEATURISATION = "alphafold3.data.featurisation"
_NETWORK = "alphafold3.model.model"
_PARAMETERS = "alphafold3.model.params"

WATCHED: tuple[str, ...] = (
    _CONFIGURATION,
    _COMPONENTS,
    _FEATURISATION,
    _NETWORK,
    _PARAMETERS,
)

_in_use = NetworksInUse()


def adapt(
    module: ModuleType,
    settings: Mapping[str, str],
    options: ForeignOptions,
    report: SettingsReport,
) -> None:
    """Apply the settings to a module of ``alphafold3`` that was just imported.

    Parameters
    ----------
    module
        One of :data:`WATCHED`.
    settings
        Knob of :data:`perfkit.models.af3.knobs.KNOBS` -> value. Other names are reported as
        settings that could not be applied.
    options
        Options of the run.
    report
        Where to report what became of each setting. Settings of the features count once per
        input, those of the network once per program that is compiled.
    """
    if module.__name__ == _CONFIGURATION:
        _in_use.watch(module)
    elif module.__name__ == _COMPONENTS:
        adapt_dictionary(module, report)
    elif module.__name__ == _FEATURISATION:
        adapt_featurisation(module, settings, options, report, _in_use)
    elif module.__name__ == _NETWORK:
        adapt_network(module, settings, report, _in_use)
        for name in settings.keys() - {knob.name for knob in KNOBS}:
            report.could_not(name, "perfkit cannot set it in a program that it does not own")
    elif module.__name__ == _PARAMETERS:
        adapt_parameters(module, settings, report)
