"""GenCast as a :class:`~perfkit.models.base.Model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType

from perfkit.answers.agreement import AgreementClass, Tolerance
from perfkit.errors import ConfigurationRefusedError, MissingDependencyError, UserError
from perfkit.kernels.build.availability import why_no_kernels
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.knob import Knob
from perfkit.models.base import Option
from perfkit.models.costs import CostModel
from perfkit.models.depth import Stacks, shallow_workload, without_files
from perfkit.models.gencast.depth import first_layers, stack_name, stacks_of
from perfkit.models.gencast.inputs.checkpoint import DenoiserArchitectureConfig, SamplerConfig
from perfkit.models.gencast.inputs.hdf5_check import checks_in_one_process
from perfkit.models.gencast.inputs.sources import OWN, WEATHERNEXT, Sources, sources_from
from perfkit.models.gencast.knobs import (
    KNOBS,
    PRECISION,
    makes_a_difference,
    refuse_for_weathernext,
    settings_for,
)
from perfkit.models.gencast.memory import peak_resident_bytes, weathernext_peak_bytes
from perfkit.models.gencast.modules import BLOCKS, STACKS, part_name
from perfkit.models.gencast.network.schedule import churn_rates
from perfkit.models.gencast.task import TaskConfig
from perfkit.models.module_names import module_name
from perfkit.models.native_kernels import require_native_kernels
from perfkit.models.prepared import Prepared
from perfkit.models.shared_knobs import FLOAT32
from perfkit.models.workload import FidelityAxis, Workload, fidelity_labels
from perfkit.packages import require_packages
from perfkit.records.depths import SHALLOW_DEPTH
from perfkit.units import cut

_PATH_OPTIONS = ("input", "checkpoint", "stats")
"""Options whose values are paths."""

PARTS = ("denoiser_call", "noise_set", "step_setup")
"""Parts of the computation, each with a named scope, innermost first."""

_WHY = "change since the last input frame, in standard deviations of the 12-hour change"


REQUIRED = ("jax", "xarray", "h5netcdf", "h5py", "trimesh", "rtree")
"""Import names of the packages that the model needs."""


class GenCast:
    """perfkit's own implementation of GenCast: the published network, arranged for CPUs."""

    name = "gencast"
    size_unit = "grid nodes"
    small_options: Mapping[str, str | int | float | bool] = MappingProxyType(
        {"resolution": 10.0, "mesh": 1}
    )
    options: tuple[Option, ...] = (
        Option("input", str, "example dataset, NetCDF (default: a synthetic atmosphere)"),
        Option("resolution", float, "grid spacing of the synthetic atmosphere (default: 1.0)"),
        Option("checkpoint", str, "GenCast params file, .npz (default: synthetic weights)"),
        Option("stats", str, "folder with the statistics of the checkpoint"),
        Option("mesh", int, "refinements of the mesh for synthetic weights (1.0 degree: 4)"),
        Option("engine", str, "perfkit (default), or weathernext if that is installed"),
        Option("seed", str, "seed of the forecast's noise, 0 to 4294967295 (default: 0)"),
        Option("plot", bool, "also write maps of the first and last step"),
    )
    weights_option = "checkpoint"
    named_folders = False
    fidelity_axes: tuple[FidelityAxis, ...] = (
        FidelityAxis("levels", 2, 20, 2, "noise levels; two calls per level, one at the last"),
        FidelityAxis("steps", 1, 30, 1, "12-hour steps of the rollout", counts_results=True),
        FidelityAxis("members", 1, 1, 1, "members of the ensemble", counts_results=True),
    )
    knobs: tuple[Knob, ...] = KNOBS
    tolerances: Mapping[str, Tolerance] = {
        "denoiser_call": Tolerance(1e-3, 0.1, why="one call of the denoiser on the same noise"),
        **{name: Tolerance(1e-3, 0.1, why=_WHY) for name in sorted(TaskConfig().target_variables)},
    }
    reference_values: Mapping[str, str] = {PRECISION.name: FLOAT32}
    foreign_adapter: str | None = "perfkit.models.gencast.foreign"

    @property
    def costs(self) -> CostModel:
        """Costs of the model, imported when they are first asked for."""
        from perfkit.models.gencast.costs import GenCastCosts

        return GenCastCosts(self.fidelity_axes)

    def package(self, workload: Workload | None = None) -> str:
        """Return the package of the engine: ``perfkit`` itself by default, or ``weathernext``."""
        return OWN if workload is None else _engine_of(workload)

    def load(self) -> None:
        """Import JAX and the packages that read files."""
        require_packages("GenCast", REQUIRED)
        import h5netcdf  # noqa: F401
        import trimesh  # noqa: F401
        import xarray  # noqa: F401

        import perfkit.models.gencast.computation  # noqa: F401

    def each_input(
        self, options: Mapping[str, str | int | float | bool]
    ) -> Sequence[Mapping[str, str | int | float | bool]]:
        """Return the options: they name a single input."""
        return (options,)

    @checks_in_one_process()
    def workload(
        self, options: Mapping[str, str | int | float | bool], fidelity: Mapping[str, int]
    ) -> Workload:
        """Make the workload of a dataset or of the synthetic atmosphere."""
        sources = sources_from(options)
        source: dict[str, str | int | float | bool] = {
            name: str(path)
            for name in _PATH_OPTIONS
            if (path := getattr(sources, name)) is not None
        }
        source |= {
            key: options[key] for key in ("resolution", "mesh", "engine", "plot") if key in options
        }
        if "seed" in options:
            source["seed"] = sources.seed
        if sources.engine == WEATHERNEXT:
            _ensure_importable("weathernext")
        nlat, nlon = sources.check()
        synthetic = f"synthetic atmosphere at {sources.resolution:g} degrees"
        return Workload(
            model=self.name,
            name=synthetic if sources.input is None else sources.input.stem,
            size=nlat * nlon,
            source=source,
            fidelity={axis.name: fidelity.get(axis.name, axis.low) for axis in self.fidelity_axes},
            input_digest=sources.digest(),
            notices=sources.notices,
        )

    def resized(self, workload: Workload, size: str) -> Workload:
        """Make a synthetic atmosphere with a grid spacing of ``size`` degrees."""
        try:
            resolution = float(size)
        except ValueError:
            raise UserError(
                f"--sizes takes numbers of degrees separated by commas, not {cut(size)!r}"
            ) from None
        others = {key: value for key, value in workload.source.items() if key != "input"}
        return self.workload({**others, "resolution": resolution}, workload.fidelity)

    def resolved_fidelity(self, fidelity: Mapping[str, int], workload: Workload) -> dict[str, int]:
        """Return ``fidelity`` unchanged: no axis depends on the input."""
        return dict(fidelity)

    def check(self, workload: Workload, configuration: Configuration) -> None:
        """Refuse values that the published implementation lacks, and kernels without a compiler."""
        settings = settings_for(configuration.overrides())
        if _engine_of(workload) == WEATHERNEXT:
            try:
                refuse_for_weathernext(settings)
            except ConfigurationRefusedError as error:
                raise UserError(str(error)) from error
        if settings.native_kernels:
            require_native_kernels(why_no_kernels())

    def declared_class(self, overrides: Mapping[str, str]) -> AgreementClass:
        """Return float32 if everything is computed in float32, else bfloat16."""
        precision = settings_for(overrides).precision
        return AgreementClass.FLOAT32 if precision == FLOAT32 else AgreementClass.BFLOAT16

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int | None:
        """Predict the peak resident set in bytes from the arrays that are alive together."""
        sources = _sources_of(workload)
        architecture = _architecture_of(sources)
        settings = settings_for(configuration.overrides())
        if sources.engine == WEATHERNEXT:
            return weathernext_peak_bytes(architecture, workload.size, settings)
        return peak_resident_bytes(architecture, workload.size, settings)

    def part_counts(
        self, fidelity: Mapping[str, int], workload: Workload | None = None
    ) -> dict[str, int]:
        """Count denoiser calls, drawn sets of noise, and steps.

        The published sampler calls the denoiser twice per level and discards the result of the
        last call. It draws two sets of noise per level, whether or not they are used.
        """
        steps = fidelity["steps"] * fidelity["members"]
        if workload is not None and _engine_of(workload) == WEATHERNEXT:
            twice = 2 * fidelity["levels"] * steps
            return {"denoiser_call": twice, "noise_set": twice, "step_setup": steps}
        churned = churn_rates(SamplerConfig(num_noise_levels=fidelity["levels"])) > 0
        return {
            "denoiser_call": steps * (2 * fidelity["levels"] - 1),
            "noise_set": steps * (1 + int(churned.sum())),
            "step_setup": steps,
        }

    def part_of(self, op_name: str) -> str | None:
        """Find the part of an operation by the named scopes of the computation."""
        return part_name(op_name, PARTS)

    def module_of(self, op_name: str) -> str | None:
        """Find the module of an operation by the named scopes of the network."""
        if self.part_of(op_name) == "noise_set":
            return "noise"
        return module_name(op_name, STACKS, BLOCKS)

    def part_fidelity(self) -> Mapping[str, int]:
        """Return two noise levels of one step of one member."""
        return {"levels": 2, "steps": 1, "members": 1}

    def check_fidelity(self) -> Mapping[str, int]:
        """Return six noise levels of one step of one member."""
        return {**self.part_fidelity(), "levels": 6}

    def worth_trying(self, workload: Workload, name: str, value: str) -> bool:
        """Whether the implementation has this value and it gives another program."""
        mesh_size = _architecture_of(_sources_of(workload)).mesh_size
        if not makes_a_difference(name, value, workload.size, mesh_size):
            return False
        if _engine_of(workload) != WEATHERNEXT:
            return True
        try:
            refuse_for_weathernext(settings_for({name: value}))
        except ConfigurationRefusedError:
            return False
        return True

    def shallow(self, workload: Workload) -> Workload | None:
        """Return the workload with fewer layers of the transformer; None if it has few already."""
        return shallow_workload(workload) if self.stacks(workload) else None

    def stacks(self, workload: Workload) -> Stacks:
        """Return the stack of the transformer's layers."""
        return stacks_of(_architecture_of(_sources_of(workload)))

    def stack_of(self, op_name: str) -> str | None:
        """Find the stack of an operation by the named scopes of the network."""
        return stack_name(op_name)

    def prepare(self, workload: Workload, overrides: Mapping[str, str]) -> Prepared:
        """Compute geometry and constants, and describe one step and the rollout."""
        from perfkit.models.gencast.computation import prepare_forecast

        sources = _sources_of(workload)
        shallow = workload.depth == SHALLOW_DEPTH
        checkpoint = sources.read_checkpoint()
        if shallow:
            checkpoint = first_layers(checkpoint)
        task = checkpoint.task_config
        production = {axis.name: axis.production for axis in self.fidelity_axes}
        prepared = prepare_forecast(
            checkpoint,
            sources.read_example(task),
            sources.read_statistics(task),
            settings_for(overrides),
            workload.fidelity,
            self.part_counts(workload.fidelity, workload),
            sources.notices,
            fidelity_labels(self.fidelity_axes, workload.fidelity, production),
            bool(workload.source.get("plot", False)),
            sources.engine,
            sources.seed,
        )
        return without_files(prepared) if shallow else prepared


def _ensure_importable(package: str) -> None:
    if find_spec(package) is None:
        raise MissingDependencyError(
            f"--engine {package} needs the package {package}, which no package index offers: "
            "install google-deepmind/graphcast and gdm-xarray-jax from their repositories"
        )


def _engine_of(workload: Workload) -> str:
    return str(workload.source.get("engine", OWN))


def _sources_of(workload: Workload) -> Sources:
    return sources_from(workload.source)


def _architecture_of(sources: Sources) -> DenoiserArchitectureConfig:
    from perfkit.models.gencast.inputs.synthetic_weights import architecture_for

    if sources.checkpoint is None:
        return architecture_for(sources.mesh)
    return sources.read_checkpoint().denoiser_architecture_config
