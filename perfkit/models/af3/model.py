"""AlphaFold 3 behind the Model protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from perfkit.answers.agreement import AgreementClass, Tolerance
from perfkit.errors import UserError
from perfkit.files import short_digest
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.knob import Knob
from perfkit.models.af3.knobs import (
    ATOM_SLOTS,
    BUCKET,
    EXACT,
    KNOBS,
    MSA_ROWS,
    NEEDED,
    PRECISION,
    settings_for,
)
from perfkit.models.af3.memory import peak_resident_bytes
from perfkit.models.af3.modules import BLOCKS, STACKS
from perfkit.models.af3.package import ensure_installed, import_model
from perfkit.models.af3.synthetic_weights import SEED
from perfkit.models.af3.weights import SYNTHETIC_NOTICE, check_model_dir
from perfkit.models.base import (
    REST,
    FidelityAxis,
    Option,
    Prepared,
    Workload,
    fidelity_labels,
)
from perfkit.models.costs import CostModel
from perfkit.models.module_names import module_name
from perfkit.units import cut

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

ALL_SEEDS = 0
"""Fidelity value of the ``seeds`` axis that stands for all seeds of the input."""

INPUT_OPTIONS = ("job", "molecule")
"""Options that say how the file of ``input`` is read."""

SEQUENCE_SEED = 1
"""Seed of the sequence that ``--size`` makes."""

SIZE_DIGITS = 6
"""Of the residues of a synthetic protein, which is made in memory: far beyond any prediction."""

SIGMA_DATA = 16.0
"""Standard deviation of the atoms' positions in ångström that the diffusion is scaled by
(``diffusion_head.SIGMA_DATA`` upstream)."""

_TRUNK = "the trunk's result, before any sampling"
_CONFIDENCE = "the confidence head's result before it is decoded"

LOOP = "while/body/"
"""How JAX names what runs inside the loops of recycling and of diffusion."""


class AlphaFold3:
    """The ``alphafold3`` package as it is published, in the environment that perfkit runs in."""

    name = "af3"
    size_unit = "tokens"
    small_options: Mapping[str, str | int | float | bool] = MappingProxyType({"size": 16})
    options: tuple[Option, ...] = (
        Option("input", str, "fold input, JSON or FASTA (default: ubiquitin, 76 residues)"),
        Option("job", str, "of an input with several AlphaFold Server jobs: name or number"),
        Option("molecule", str, "of FASTA without it in the headers: protein, dna or rna"),
        Option("size", int, "instead of an input: a seeded protein of so many residues"),
        Option("model-dir", str, "folder with af3.bin.zst (default: synthetic weights)"),
    )
    weights_option = "model-dir"
    fidelity_axes: tuple[FidelityAxis, ...] = (
        FidelityAxis("recycles", 0, 10, 0, "recycles; the trunk runs once more than that"),
        FidelityAxis("steps", 4, 200, 1, "diffusion steps"),
        FidelityAxis("samples", 1, 5, 1, "diffusion samples a seed", counts_results=True),
        FidelityAxis(
            "seeds", 1, ALL_SEEDS, ALL_SEEDS, "seeds of the input (0: all)", counts_results=True
        ),
    )
    knobs: tuple[Knob, ...] = KNOBS
    tolerances: Mapping[str, Tolerance] = {
        "single_embedding": Tolerance(1e-3, 0.1, why=_TRUNK),
        "pair_embedding": Tolerance(1e-3, 0.1, why=_TRUNK),
        "denoising_step": Tolerance(
            1e-3,
            0.1,
            kind="positions",
            scale=SIGMA_DATA,
            why="the state after one diffusion step from the same noise, against the spread of "
            "the structures that the model was made for: it is mostly noise itself",
        ),
        "atom_positions": Tolerance(
            1e-3,
            0.1,
            kind="positions",
            why="after a few diffusion steps from the same noise; after many the sampler is "
            "chaotic and two right programs differ",
        ),
        "plddt_logits": Tolerance(1e-3, 0.1, why=_CONFIDENCE),
        "pae_logits": Tolerance(1e-3, 0.1, why=_CONFIDENCE),
        "pde_logits": Tolerance(1e-3, 0.1, why=_CONFIDENCE),
        "plddt": Tolerance(1e-3, 0.05, why="what the logits say for each atom"),
        "pae": Tolerance(1e-3, 0.05, why="what the logits say for each pair of tokens"),
    }
    reference_values: Mapping[str, str] = {PRECISION.name: "none"}

    @property
    def costs(self) -> CostModel:
        """Costs of the model, imported when they are first asked for."""
        from perfkit.models.af3.costs import AlphaFold3Costs

        return AlphaFold3Costs(self.fidelity_axes)

    def load(self) -> None:
        """Import the package; see the protocol."""
        import_model()

    def workload(
        self, options: Mapping[str, str | int | float | bool], fidelity: Mapping[str, int]
    ) -> Workload:
        """The workload of a fold input or of a synthetic protein; see the protocol."""
        ensure_installed()
        if "input" in options and "size" in options:
            raise UserError("--input and --size exclude each other: give one of them")
        for key in INPUT_OPTIONS:
            if key in options and "input" not in options:
                raise UserError(f"--{key} says how to read an input: name it with --input")
        source = {
            key: options[key]
            for key in ("input", *INPUT_OPTIONS, "size", "model-dir")
            if key in options
        }
        for key in ("input", "model-dir"):
            if key in source:
                source[key] = str(Path(str(source[key])).resolve())
        fold_input, notices = _fold_input(source)
        weights = f"synthetic-{SEED}"
        if "model-dir" in source:
            folder = Path(str(source["model-dir"]))
            check_model_dir(folder)
            weights = _identity(folder)
        else:
            notices = (*notices, SYNTHETIC_NOTICE)
        chosen = self._fidelity(fidelity, len(fold_input.rng_seeds))
        from perfkit.models.af3.chemistry.tokens import count_tokens

        content = f"{fold_input.to_json()}\n{weights}"
        return Workload(
            model=self.name,
            name=fold_input.name,
            size=count_tokens(fold_input),
            source=source,
            fidelity=chosen,
            input_digest=short_digest(content, 16),
            notices=notices,
        )

    def resized(self, workload: Workload, size: str) -> Workload:
        """A synthetic protein of ``size`` residues; see the protocol."""
        if not size.isdecimal() or len(size) > SIZE_DIGITS or int(size) < 1:
            raise UserError(
                "--sizes takes whole numbers, 1 or more, of at most "
                f"{SIZE_DIGITS} digits, with commas, not {cut(size)!r}"
            )
        kept = {key: value for key, value in workload.source.items() if key == "model-dir"}
        return self.workload({**kept, "size": int(size)}, workload.fidelity)

    def resolved_fidelity(self, fidelity: Mapping[str, int], workload: Workload) -> dict[str, int]:
        """All seeds as the number of them; see the protocol."""
        fold_input, _ = _fold_input(workload.source)
        return self._fidelity(fidelity, len(fold_input.rng_seeds))

    def _fidelity(self, wanted: Mapping[str, int], seeds: int) -> dict[str, int]:
        chosen = {axis.name: wanted.get(axis.name, axis.low) for axis in self.fidelity_axes}
        if chosen["seeds"] == ALL_SEEDS:
            chosen["seeds"] = seeds
        if chosen["seeds"] > seeds:
            raise UserError(
                f"{chosen['seeds']} seeds are asked for, but the input names only {seeds}"
            )
        return chosen

    def check(self, workload: Workload, configuration: Configuration) -> None:
        """Refuse impossible buckets; see the protocol."""
        settings_for(configuration.overrides(), workload.size)

    def declared_class(self, overrides: Mapping[str, str]) -> AgreementClass:
        """float32 without bfloat16, else bfloat16; see the protocol."""
        precision = overrides.get(PRECISION.name, PRECISION.default)
        return AgreementClass.FLOAT32 if precision == "none" else AgreementClass.BFLOAT16

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int:
        """Predicted from measurements at several sizes; see the protocol."""
        settings = settings_for(configuration.overrides(), workload.size)
        return peak_resident_bytes(settings, workload.fidelity["samples"])

    def part_counts(
        self, fidelity: Mapping[str, int], workload: Workload | None = None
    ) -> dict[str, int]:
        """Trunk passes, diffusion steps of all samples together, confidence; see the protocol."""
        seeds = fidelity["seeds"]
        return {
            "trunk_pass": seeds * (fidelity["recycles"] + 1),
            "diffusion_step": seeds * fidelity["steps"],
            "confidence": seeds,
        }

    def part_of(self, op_name: str) -> str | None:
        """The part by upstream's module names; see the protocol."""
        if "confidence_head" in op_name:
            return "confidence"
        if LOOP not in op_name:
            # What is outside the loops runs once; what has no name at all could be anywhere.
            return REST if op_name else None
        if "diffusion_head" in op_name:
            return "diffusion_step"
        return "trunk_pass" if "/evoformer/" in op_name else None

    def module_of(self, op_name: str) -> str | None:
        """The module by upstream's names; see the protocol."""
        return module_name(op_name, STACKS, BLOCKS)

    def part_fidelity(self) -> Mapping[str, int]:
        """One trunk pass and two steps of production's samples; see the protocol."""
        samples = next(axis for axis in self.fidelity_axes if axis.name == "samples")
        return {"recycles": 0, "steps": 2, "samples": samples.production, "seeds": 1}

    def check_fidelity(self) -> Mapping[str, int]:
        """Two more trunk passes and five times the steps; see the protocol."""
        return {**self.part_fidelity(), "recycles": 2, "steps": 10}

    def search_values(self, workload: Workload) -> Mapping[str, Sequence[str]]:
        """What changes how much is computed comes first; see the protocol."""
        settings = settings_for({}, workload.size)
        padded = settings.bucket != workload.size
        values: dict[str, Sequence[str]] = {}
        if padded:
            values[BUCKET.name] = (EXACT,)
        values[MSA_ROWS.name] = (NEEDED,)
        values[ATOM_SLOTS.name] = (NEEDED,)
        return values

    def prepare(self, workload: Workload, overrides: Mapping[str, str]) -> Prepared:
        """Featurise, load parameters, describe the computation; see the protocol."""
        from perfkit.models.af3 import computation

        fold_input, _ = _fold_input(workload.source)
        seeds = fold_input.rng_seeds[: workload.fidelity["seeds"]]
        axes = self.fidelity_axes
        production = {axis.name: axis.production for axis in axes}
        production["seeds"] = len(fold_input.rng_seeds)
        model_dir = workload.source.get("model-dir")
        return computation.prepare(
            dataclasses.replace(fold_input, rng_seeds=seeds),
            settings_for(overrides, workload.size),
            workload.fidelity,
            self.part_counts({**workload.fidelity, "seeds": 1}),
            workload.size,
            None if model_dir is None else Path(str(model_dir)),
            fidelity_labels(axes, workload.fidelity, production),
        )


def _fold_input(
    source: Mapping[str, str | int | float | bool],
) -> tuple[Input, tuple[str, ...]]:
    keys = ("input", "size", *INPUT_OPTIONS)
    return _read_input(*(str(source[key]) if key in source else None for key in keys))


@cache
def _read_input(
    path: str | None, size: str | None, job: str | None, molecule: str | None
) -> tuple[Input, tuple[str, ...]]:
    from perfkit.models.af3.inputs.fold_input import UBIQUITIN, load_fold_input, synthetic_protein

    if size is not None:
        residues = int(size)
        if residues >= 10**SIZE_DIGITS:
            raise UserError(
                f"--size takes at most {SIZE_DIGITS} digits, not {residues:.3g} residues"
            )
        notice = f"a synthetic protein of {residues} residues, predicted from its sequence alone"
        return synthetic_protein(residues, SEQUENCE_SEED), (notice,)
    return load_fold_input(UBIQUITIN if path is None else Path(path), job=job, molecule=molecule)


def _identity(model_dir: Path) -> str:
    """What tells one set of parameters from another without reading a gigabyte."""
    files = sorted(path for path in model_dir.iterdir() if ".bin" in path.suffixes)
    told = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return short_digest(repr(told), 16)
