"""Heat on a square plate: a model that knows perfkit's protocols and nothing else of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from perfkit.answers.agreement import AgreementClass, Tolerance
from perfkit.errors import UserError
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.knob import Knob, Layer, Search
from perfkit.knobs.parsers import any_text
from perfkit.models.base import REST, Option
from perfkit.models.costs import (
    CONSTANT,
    WARM_UP,
    CostModel,
    Feature,
    Features,
    Job,
    JobRow,
    Options,
    PublishedTime,
    Sizes,
    Terms,
)
from perfkit.models.depth import Blocks, Stacks, shallow_workload, without_files
from perfkit.models.prepared import Prepared
from perfkit.models.workload import FidelityAxis, Workload
from perfkit.records.depths import SHALLOW_DEPTH
from perfkit.records.stages import StageName

PADDED = Knob("padded", "exact", Layer.MODEL, True, "nodes to pad to", any_text)

AXES: tuple[FidelityAxis, ...] = (FidelityAxis("steps", 4, 1000, 1, "time steps"),)


class _Row(JobRow):
    plate: Annotated[int, Field(ge=8, le=4096)]
    steps: Annotated[int, Field(ge=1, le=10**6)] | None = None


class HeatCosts(CostModel):
    """``p``: nodes along an edge of the plate."""

    features = (Feature("p", "the plates measured"),)
    terms = Terms(
        time={
            "step": (CONSTANT, "p^2", "p^3"),
            REST: (CONSTANT, "p^2"),
            StageName.PREPARE: (CONSTANT,),
            StageName.COMPILE: (CONSTANT,),
            WARM_UP: (CONSTANT,),
            StageName.CHECK: (CONSTANT,),
        },
        other_time=(CONSTANT,),
        compiled_bytes=(CONSTANT, "p^2"),
        overhead_bytes=(CONSTANT,),
    )
    sizes = Sizes("64,96,128,192", "512", "96", ("64", "256", "1024"), "nodes along an edge")
    input_options = ("edge",)
    padding_knob = PADDED.name
    what_if_axes: ClassVar[Mapping[str, int]] = {"steps": 10**6}
    columns = ("plate", "steps")
    input_columns = ("plate",)
    size_column = "plate"
    plan_columns: ClassVar[Mapping[str, str]] = {"heat_steps": "steps"}
    suffixes = (".plate",)
    published = (PublishedTime("Abacus", "256 nodes, one step", 60.0, "a table of 1822"),)

    def __init__(self) -> None:
        self.production = {axis.name: axis.production for axis in AXES}

    def features_at(
        self, size: int, options: Options, fidelity: Mapping[str, int], settings: Mapping[str, str]
    ) -> dict[str, float]:
        """The edge of the plate that is computed, with its padding."""
        padded = settings.get(PADDED.name, PADDED.default)
        return {"p": float(size if padded == "exact" else int(padded))}

    def resized(
        self, features: Features, size: float, settings: Mapping[str, str]
    ) -> dict[str, float]:
        """The features of a plate of size ``size``."""
        return {"p": size}

    def calls(self, fidelity: Mapping[str, int]) -> int:
        """One call per prediction."""
        return 1

    def job(self, row: Mapping[str, str], folder: Path, origin: str) -> Job:
        """The job of a row of a queue."""
        given = _Row.model_validate(row)
        fidelity = self.production if given.steps is None else {"steps": given.steps}
        options = {"edge": str(given.plate)}
        return Job(given.name, Heat.name, given.plate, fidelity, options, origin)

    def jobs_in_file(self, path: Path) -> tuple[list[Job], list[Any]]:
        """The job of a file, which holds the edge of one plate."""
        row = {"name": path.stem, "plate": path.read_text().strip()}
        return [self.job(row, path.parent, str(path))], []

    def published_s(self, job: Job, device: str) -> float | None:
        """A minute per step, as the table gives it."""
        return 60.0 * job.fidelity["steps"]


class Heat:
    """Explicit steps of the heat equation as products with a matrix."""

    name = "heat"
    size_unit = "nodes"
    options: tuple[Option, ...] = (
        Option("edge", int, "nodes along an edge (default: 64)"),
        Option("edges", str, "edges of several plates, separated by commas", predicts=True),
    )
    small_options: Mapping[str, str | int | float | bool] = MappingProxyType({"edge": 16})
    weights_option = ""
    named_folders = True
    fidelity_axes = AXES
    knobs: tuple[Knob, ...] = (PADDED,)
    tolerances: Mapping[str, Tolerance] = MappingProxyType(
        {"plate": Tolerance(1e-3, 0.1, why="heat")}
    )
    reference_values: Mapping[str, str] = MappingProxyType({})
    foreign_adapter: str | None = "heat_foreign"

    @property
    def costs(self) -> CostModel:
        """Costs of the model."""
        return HeatCosts()

    def load(self) -> None:
        """Import JAX."""
        import jax  # noqa: F401

    def each_input(self, options: Options) -> Sequence[Options]:
        """One plate per edge."""
        if "edges" not in options:
            return (options,)
        return [{"edge": int(edge)} for edge in str(options["edges"]).split(",")]

    def workload(self, options: Options, fidelity: Mapping[str, int]) -> Workload:
        """A warm plate in cold surroundings."""
        edge = int(options.get("edge", 64))
        if edge < 1:
            raise UserError(f"--edge takes 1 or more, not {edge}")
        chosen = {axis.name: fidelity.get(axis.name, axis.low) for axis in AXES}
        return Workload(self.name, f"plate-{edge}", edge, {"edge": edge}, chosen, f"{edge}")

    def resized(self, workload: Workload, size: str) -> Workload:
        """A plate with another edge."""
        return self.workload({"edge": int(size)}, workload.fidelity)

    def resolved_fidelity(self, fidelity: Mapping[str, int], workload: Workload) -> dict[str, int]:
        """The fidelity itself: no input changes it."""
        return dict(fidelity)

    def check(self, workload: Workload, configuration: Configuration) -> None:
        """Accept every padding."""

    def declared_class(self, overrides: Mapping[str, str]) -> AgreementClass:
        """float32 under every padding."""
        return AgreementClass.FLOAT32

    def package(self, workload: Workload | None = None) -> str:
        """The package of this module."""
        return __name__.partition(".")[0]

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int:
        """About the size of a process that has imported JAX."""
        return 300_000_000

    def part_counts(
        self, fidelity: Mapping[str, int], workload: Workload | None = None
    ) -> dict[str, int]:
        """One run of the step per time step."""
        return {"step": fidelity["steps"]}

    def part_of(self, op_name: str) -> str | None:
        """Everything inside the loop is the step."""
        if "while" in op_name:
            return "step"
        return REST if op_name else None

    def module_of(self, op_name: str) -> str | None:
        """The modules are the parts."""
        return self.part_of(op_name)

    def part_fidelity(self) -> Mapping[str, int]:
        """Twenty steps."""
        return {"steps": 20}

    def check_fidelity(self) -> Mapping[str, int]:
        """Twice the steps of :meth:`part_fidelity`."""
        return {"steps": 40}

    def shallow(self, workload: Workload) -> Workload | None:
        """A quarter of the steps; None if there is only one."""
        return shallow_workload(workload) if self.stacks(workload) else None

    def stacks(self, workload: Workload) -> Stacks:
        """The steps, which are all alike."""
        steps = workload.fidelity["steps"]
        return {"step": Blocks(max(1, steps // 4), steps)} if steps > 1 else {}

    def stack_of(self, op_name: str) -> str | None:
        """The stack is the only part."""
        return self.part_of(op_name)

    def worth_trying(self, workload: Workload, name: str, value: str) -> bool:
        """Whether to try a padding: always."""
        return True

    def prepare(self, workload: Workload, overrides: Mapping[str, str]) -> Prepared:
        """The steps as one loop over a matrix product from both sides."""
        import jax
        import jax.numpy as jnp

        edge, steps = workload.size, workload.fidelity["steps"]
        shallow = workload.depth == SHALLOW_DEPTH
        if shallow:
            steps = self.stacks(workload)["step"].shallow
        padded = overrides.get(PADDED.name, PADDED.default)
        nodes = edge if padded == "exact" else int(padded)
        conduct, plate = np.zeros((2, nodes, nodes), np.float32)
        conduct[:edge, :edge] = 0.8 * np.eye(edge) + 0.1 * (np.eye(edge, k=1) + np.eye(edge, k=-1))
        plate[:edge, :edge] = 1.0

        def function(conduct: Any, plate: Any) -> Any:
            def step(_: Any, now: Any) -> Any:
                return conduct @ now @ conduct

            return {"plate": jnp.tanh(jax.lax.fori_loop(0, steps, step, plate))}

        def write(outputs: Any, folder: Path) -> list[Path]:
            path = folder / "plate.npy"
            np.save(path, np.asarray(outputs["plate"]))
            return [path]

        prepared = Prepared(
            function=function,
            arguments=(conduct, plate),
            drive=lambda compiled: compiled(conduct, plate),
            parts=self.part_counts(workload.fidelity),
            compared=lambda outputs: {"plate": np.asarray(outputs["plate"])[:edge, :edge]},
            write=write,
        )
        return without_files(prepared) if shallow else prepared


class WastefulHeat(Heat):
    """The same in stock with so much padding that no noise hides what it costs."""

    name = "wasteful"
    knobs = (dataclasses.replace(PADDED, default="1024", search=Search(("exact",), order=1)),)

    def prepare(self, workload: Workload, overrides: Mapping[str, str]) -> Prepared:
        """The loop over padded plates, unless another padding is chosen."""
        return super().prepare(workload, {PADDED.name: self.knobs[0].default, **overrides})
