"""The Model protocol: what a model offers to everything that runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from perfkit.answers.agreement import AgreementClass, Tolerance
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.knob import Knob
from perfkit.models.costs import CostModel
from perfkit.models.depth import Stacks
from perfkit.models.prepared import Prepared
from perfkit.models.workload import FidelityAxis, Workload

REST = "rest"
"""Name of the work that belongs to no part of a model and runs once per prediction."""


@dataclass(frozen=True)
class Option:
    """An option that describes the prediction, e.g. ``--input FILE``.

    Attributes
    ----------
    name
        Name without the dashes; words are joined by hyphens.
    kind
        ``str``, ``int``, ``float`` or ``bool`` (a switch).
    summary
        One line of help.
    default
        Value of a switch that is not given.
    predicts
        Whether only commands that write a prediction take the option, e.g. because it determines
        which files they write.
    """

    name: str
    kind: type
    summary: str
    default: bool = False
    predicts: bool = False


class Model(Protocol):
    """A model to predict with. It never times, pins, sets an environment variable or prints.

    Attributes
    ----------
    name
        Name of the model on the command line and in records.
    size_unit
        Unit of a workload's size, plural, e.g. ``tokens``.
    options
        Options that describe an input.
    small_options
        Options of an input that runs in seconds, for measuring the machine and not the model.
    weights_option
        Name of the option that gives real weights. Without it they are synthetic.
    named_folders
        Whether a prediction has a folder of its own in the output folder, with the name of its
        input. Otherwise its files lie in the output folder.
    fidelity_axes
        Dimensions along which a prediction can be shortened.
    knobs
        Knobs of the model itself.
    tolerances
        Compared quantity -> how closely two configurations must agree on it.
    reference_values
        Knob values of the reference configuration (float32, otherwise stock).
    foreign_adapter
        Module that applies the model's own knobs inside a program of others, see
        :mod:`perfkit.foreign.adapter`; None without such a module.
    """

    name: str
    size_unit: str
    options: tuple[Option, ...]
    small_options: Mapping[str, str | int | float | bool]
    weights_option: str
    named_folders: bool
    fidelity_axes: tuple[FidelityAxis, ...]
    knobs: tuple[Knob, ...]
    tolerances: Mapping[str, Tolerance]
    reference_values: Mapping[str, str]
    foreign_adapter: str | None = None

    @property
    def costs(self) -> CostModel:
        """Cost model: the laws of time and memory, the shared programs and the jobs of a queue."""
        ...

    def package(self, workload: Workload | None = None) -> str:
        """Return the import name of the package whose code predicts.

        Times and memory hold for the distribution that provides it; see
        :func:`perfkit.packages.provider_of`.

        Parameters
        ----------
        workload
            Workload whose options choose an implementation; the usual one by default.
        """
        ...

    def load(self) -> None:
        """Import the packages that the model runs with, so that a trial times them apart.

        Raises
        ------
        MissingDependencyError
            The package of the model is not installed.
        """
        ...

    def each_input(
        self, options: Mapping[str, str | int | float | bool]
    ) -> Sequence[Mapping[str, str | int | float | bool]]:
        """Split options that name several inputs into the options of each input.

        Parameters
        ----------
        options
            Option name -> value, as a user gave them to a command that predicts.

        Returns
        -------
        sequence
            Options for :meth:`workload`, in the order in which the inputs are predicted. Options
            that name a single input are returned as they are.

        Raises
        ------
        UserError
            The inputs cannot be listed.
        """
        ...

    def workload(
        self, options: Mapping[str, str | int | float | bool], fidelity: Mapping[str, int]
    ) -> Workload:
        """Make a workload from a user's options.

        Parameters
        ----------
        options
            Option name -> value.
        fidelity
            Fidelity axis -> value. Missing axes take their low value.

        Raises
        ------
        UserError
            An option is impossible or the input is bad.
        """
        ...

    def resized(self, workload: Workload, size: str) -> Workload:
        """Make a synthetic input of another size, with the same fidelity and weights.

        Parameters
        ----------
        workload
            Workload that gives everything but the size.
        size
            Size as a user writes it: residues for AlphaFold 3, degrees for GenCast.

        Raises
        ------
        UserError
            There is no input of that size.
        """
        ...

    def resolved_fidelity(self, fidelity: Mapping[str, int], workload: Workload) -> dict[str, int]:
        """Return ``fidelity`` with input-dependent values filled in, e.g. the number of seeds.

        Raises
        ------
        UserError
            The input does not allow this fidelity.
        """
        ...

    def check(self, workload: Workload, configuration: Configuration) -> None:
        """Refuse knob values that are impossible for this workload.

        Raises
        ------
        UserError
            A knob of the model has an impossible value, e.g. a bucket smaller than the input.
        """
        ...

    def declared_class(self, overrides: Mapping[str, str]) -> AgreementClass:
        """Return the agreement class that results under ``overrides`` must reach.

        Parameters
        ----------
        overrides
            Knob of the model -> value. Missing knobs have their default.
        """
        ...

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int | None:
        """Predict the peak resident set of a trial, in bytes.

        None if the law of memory was not measured with the installed distribution of
        :meth:`package`: that of another one says nothing about it.
        """
        ...

    def part_counts(
        self, fidelity: Mapping[str, int], workload: Workload | None = None
    ) -> dict[str, int]:
        """Return how often each part runs in one prediction at ``fidelity``.

        Parameters
        ----------
        fidelity
            Fidelity axis -> value.
        workload
            Workload whose options change the counts, e.g. by choosing an implementation.
        """
        ...

    def part_of(self, op_name: str) -> str | None:
        """Return the part that an operation belongs to.

        Parameters
        ----------
        op_name
            Path of the operation in the metadata of the optimised HLO.

        Returns
        -------
        str or None
            A part of :meth:`part_counts`; :data:`REST` if the operation belongs to no part and
            runs once per prediction; None if the path does not reveal the part.
        """
        ...

    def module_of(self, op_name: str) -> str | None:
        """Return the module of the network that an operation belongs to.

        Takes the same path as :meth:`part_of`.

        Returns
        -------
        str or None
            Name that the model's authors use, e.g. ``pairformer/triangle attention``; None if
            the path does not reveal the module.
        """
        ...

    def part_fidelity(self) -> Mapping[str, int]:
        """Return a low fidelity at which each part costs as much per run as in production."""
        ...

    def check_fidelity(self) -> Mapping[str, int]:
        """Return a higher fidelity than :meth:`part_fidelity`, to test an extrapolation against."""
        ...

    def worth_trying(self, workload: Workload, name: str, value: str) -> bool:
        """Whether a value of one of the model's own knobs can make a difference on ``workload``.

        Whether this machine can use it is for the knob to say, see
        :func:`perfkit.knobs.availability.why_not_here`.
        """
        ...

    def shallow(self, workload: Workload) -> Workload | None:
        """Return the workload with the shallow network, for cheap screening.

        The shallow network has fewer of its identical blocks and is the same in every other
        respect: widths, precision, padding, inputs, sampler and outputs.

        Returns
        -------
        Workload or None
            The same workload with ``depth`` :data:`~perfkit.records.depths.SHALLOW_DEPTH`, or None
            if the model has no shallow network.
        """
        ...

    def stacks(self, workload: Workload) -> Stacks:
        """Return the stacks of identical blocks that the shallow network has fewer blocks of.

        With the seconds of each stack in a shallow pass, :func:`perfkit.models.depth.full_pass_s`
        predicts the time of a full pass.

        Returns
        -------
        Mapping
            Name of the stack -> its blocks; empty if the model has no shallow network.
        """
        ...

    def stack_of(self, op_name: str) -> str | None:
        """Return the stack that an operation belongs to, for shallow networks.

        Takes the same path as :meth:`part_of`.

        Returns
        -------
        str or None
            A stack of :meth:`stacks`; :data:`REST` if the operation is outside all stacks; None if
            the path does not reveal the stack.
        """
        ...

    def prepare(self, workload: Workload, overrides: Mapping[str, str]) -> Prepared:
        """Prepare the prediction of a workload.

        Parameters
        ----------
        workload
            Workload of this model.
        overrides
            Knob of the model -> value. Missing knobs have their default.

        Raises
        ------
        UserError
            The input can no longer be read.
        ConfigurationRefusedError
            The model cannot run with these knob values.
        """
        ...
