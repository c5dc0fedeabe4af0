"""Examines this environment: are the answers of its jaxlib right on this CPU, and what mends them?

>>> from perfkit.diagnose.doctor import examine
>>> diagnosis = examine()
>>> diagnosis.healthy
True

The programs run in child processes: a fault of the compiler cannot end this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from perfkit.diagnose.checkup import Checkup
from perfkit.diagnose.diagnosis import Diagnosis
from perfkit.diagnose.environment_found import environment_facts
from perfkit.diagnose.examiner import Setup, examine_setup
from perfkit.diagnose.mending import examine_others, find_remedies
from perfkit.diagnose.models_found import models_found
from perfkit.diagnose.noise_look import look_at_noise
from perfkit.errors import MissingDependencyError
from perfkit.knobs.configuration import Configuration
from perfkit.tuning.apply import preset_environment

NEEDED_PACKAGES = ("jax", "jaxlib")
"""Packages without which no known-answer program can run."""


def examine(setup: Setup | None = None) -> Diagnosis:
    """Run all known-answer programs.

    Parameters
    ----------
    setup
        The setup to run them under; by default the environment of this process and its CPUs.

    Raises
    ------
    MissingDependencyError
        JAX is not installed.
    UserError
        XLA does not start under the setup.
    """
    require_packages(NEEDED_PACKAGES)
    return examine_setup(Setup() if setup is None else setup)


def check_up(
    setup: Setup,
    *,
    others: Sequence[Path] = (),
    quick: bool = False,
    progress: Callable[[str], object] = lambda line: None,
) -> Checkup:
    """Examine the environment, the answers, what mends wrong ones, and the noise.

    Parameters
    ----------
    setup
        The setup to run the known-answer programs under.
    others
        Pythons of other environments, whose jaxlib is examined too.
    quick
        Whether to leave out the noise and the search for flags.
    progress
        Receives what is being done, in a few words.

    Raises
    ------
    MissingDependencyError
        JAX is not installed.
    UserError
        XLA does not start under the setup.
    """
    # First of all, because it fails if XLA does not start.
    progress("known answers")
    diagnosis = examine(setup)
    remedies = None
    if not quick and not diagnosis.healthy:
        remedies = find_remedies(setup, diagnosis, progress=progress)
    progress("environment")
    environment, models = environment_facts(), models_found()
    noise = None
    if not quick:
        progress("noise of the machine")
        noise = look_at_noise()
    if others:
        progress("known answers of other environments")
    return Checkup(diagnosis, environment, models, remedies, examine_others(setup, others), noise)


def setup_under(configuration: Configuration) -> Setup:
    """The setup of a configuration: its environment, as ``perfkit exec`` makes it, and its CPUs.

    Parameters
    ----------
    configuration
        The configuration.

    Raises
    ------
    UserError
        The configuration is impossible on this machine.
    """
    cpus = tuple(sorted(configuration.ensure_possible()))
    return Setup(preset_environment(configuration), cpus=cpus)


def require_packages(names: Sequence[str]) -> None:
    """Raise :class:`MissingDependencyError` for the first package that is not installed.

    Parameters
    ----------
    names
        Import names, which must also be the names under which pip installs the packages.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingDependencyError(f"{name} is not installed: pip install {name}")
