"""AlphaFold 3 as a :class:`~perfkit.models.base.Model`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from perfkit.answers.agreement import AgreementClass, Tolerance
from perfkit.builds import installed_build
from perfkit.errors import UserError
from perfkit.files import short_digest
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.knob import Knob
from perfkit.models.af3.depth import BLOCKS as BLOCKS_OF_STACKS
from perfkit.models.af3.depth import stack_name
from perfkit.models.af3.knobs import (
    BUCKET,
    EXACT,
    KNOBS,
    PRECISION,
    UPSTREAM,
    UPSTREAM_ROWS,
    rows_together,
    settings_for,
)
from perfkit.models.af3.memory import LAWS, peak_resident_bytes
from perfkit.models.af3.modules import BLOCKS, STACKS
from perfkit.models.af3.network.kernels import why_no_native_kernels
from perfkit.models.af3.package import PACKAGE, ensure_installed, import_model
from perfkit.models.af3.run_options import (
    INPUT_DIR,
    INPUT_OPTIONS,
    NUM_SEEDS,
    OPTIONS,
    UPSTREAM_FEATURES,
    FeatureOptions,
    FileOptions,
)
from perfkit.models.af3.synthetic_weights import SEED
from perfkit.models.af3.weights import SYNTHETIC_NOTICE, check_model_dir
from perfkit.models.base import REST, Option
from perfkit.models.costs import CostModel, Options
from perfkit.models.depth import Stacks, shallow_workload, without_files
from perfkit.models.module_names import module_name
from perfkit.models.native_kernels import require_native_kernels
from perfkit.models.prepared import Prepared
from perfkit.models.shared_knobs import FLOAT32
from perfkit.models.workload import FidelityAxis, Workload, fidelity_labels
from perfkit.packages import parse_version, provider_of
from perfkit.records.depths import SHALLOW_DEPTH
from perfkit.units import cut

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

ALL_SEEDS = 0
"""Value of the fidelity axis ``seeds`` that means all seeds of the input."""

SEQUENCE_SEED = 1
"""Seed of the sequence of a synthetic protein."""

MOST_INPUTS = 8
"""Inputs that are kept in memory. MSAs of a large complex can take a gigabyte."""

DISTOGRAM_BYTES = 4 * 64
"""Bytes of the distogram of a pair of tokens: 64 bins in float32."""

SIZE_DIGITS = 6
"""Most digits of the length of a synthetic protein, which is made in memory. Longer lengths are far
beyond any prediction."""

SIGMA_DATA = 16.0
"""Standard deviation in ångström of the atoms' positions, by which the diffusion is scaled
(``diffusion_head.SIGMA_DATA`` upstream)."""

_TRUNK = "the trunk's result, before any sampling"
_CONFIDENCE = "the confidence head's result before it is decoded"

LOOP = "while/body/"
"""Path component of operations inside the loops of recycling and diffusion, as JAX names them."""


class AlphaFold3:
    """The published ``alphafold3`` package, as installed in the environment of perfkit."""

    name = "af3"
    size_unit = "tokens"
    small_options: Mapping[str, str | int | float | bool] = MappingProxyType({"size": 16})
    options: tuple[Option, ...] = OPTIONS
    weights_option = "model-dir"
    named_folders = True
    fidelity_axes: tuple[FidelityAxis, ...] = (
        FidelityAxis("recycles", 0, 10, 0, "recycles; the trunk runs once more than that"),
        FidelityAxis("steps", 4, 200, 1, "diffusion steps"),
        FidelityAxis("samples", 1, 5, 1, "diffusion samples per seed", counts_results=True),
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
            why="the state after one diffusion step from the same noise, relative to the spread "
            "of the structures that the model was made for, because the state is mostly noise",
        ),
        "atom_positions": Tolerance(
            1e-3,
            0.1,
            kind="positions",
            why="after a few diffusion steps from the same noise; after many, the sampler is "
            "chaotic and two correct programs differ",
        ),
        "plddt_logits": Tolerance(1e-3, 0.1, why=_CONFIDENCE),
        "pae_logits": Tolerance(1e-3, 0.1, why=_CONFIDENCE),
        "pde_logits": Tolerance(1e-3, 0.1, why=_CONFIDENCE),
        "plddt": Tolerance(1e-3, 0.05, why="decoded from the logits for each atom"),
        "pae": Tolerance(1e-3, 0.05, why="decoded from the logits for each pair of tokens"),
    }
    reference_values: Mapping[str, str] = {PRECISION.name: FLOAT32}
    foreign_adapter: str | None = "perfkit.models.af3.foreign.adapter"

    @property
    def costs(self) -> CostModel:
        """Costs of the model, imported when they are first asked for."""
        from perfkit.models.af3.costs import AlphaFold3Costs

        return AlphaFold3Costs(self.fidelity_axes)

    def package(self, workload: Workload | None = None) -> str:
        """Return ``alphafold3``, which DeepMind's package and ColabFold's build both provide."""
        return PACKAGE

    def load(self) -> None:
        """Import ``alphafold3``, and JAX with it."""
        import_model()

    def each_input(self, options: Options) -> Sequence[Options]:
        """Split a folder of inputs, and a file of several AlphaFold Server jobs."""
        ensure_installed()
        from perfkit.models.af3.inputs.several import each_input

        return each_input(options)

    def workload(self, options: Options, fidelity: Mapping[str, int]) -> Workload:
        """Make the workload of a fold input or of a synthetic protein."""
        ensure_installed()
        if INPUT_DIR in options:
            raise UserError(f"--{INPUT_DIR} names several inputs, of which this takes one: --input")
        if "input" in options and "size" in options:
            raise UserError("--input and --size exclude each other: give one of them")
        for key in INPUT_OPTIONS:
            if key in options and "input" not in options:
                raise UserError(f"--{key} needs --input: it determines how the file is read")
        features = FeatureOptions.of(options)
        source = {option.name: options[option.name] for option in OPTIONS if option.name in options}
        for key in ("input", "model-dir"):
            if key in source:
                source[key] = str(Path(str(source[key])).resolve())
        fold_input, notices = _fold_input(source)
        weights = f"synthetic-{SEED}"
        if "model-dir" in source:
            folder = Path(str(source["model-dir"]))
            check_model_dir(folder)
            weights = _weights_digest(folder)
        else:
            notices = (*notices, SYNTHETIC_NOTICE)
        seeds = len(fold_input.rng_seeds)
        if NUM_SEEDS in source:
            fidelity = {"seeds": ALL_SEEDS, **fidelity}
        chosen = self._fidelity(fidelity, seeds)
        from perfkit.models.af3.chemistry.tokens import count_tokens

        content = f"{fold_input.to_json()}\n{weights}"
        if features != UPSTREAM_FEATURES:
            content = f"{content}\n{features}"
        fix = features.fix_standalone_glycans
        return Workload(
            model=self.name,
            name=fold_input.name,
            size=count_tokens(fold_input, fix_standalone_glycans=fix),
            source=source,
            fidelity=chosen,
            input_digest=short_digest(content, 16),
            notices=notices,
        )

    def resized(self, workload: Workload, size: str) -> Workload:
        """Make a synthetic protein of ``size`` residues with the same weights."""
        if not size.isdecimal() or len(size) > SIZE_DIGITS or int(size) < 1:
            raise UserError(
                "--sizes takes whole numbers of residues from 1, separated by commas and of at "
                f"most {SIZE_DIGITS} digits each, not {cut(size)!r}"
            )
        weights = {key: value for key, value in workload.source.items() if key == "model-dir"}
        return self.workload({**weights, "size": int(size)}, workload.fidelity)

    def resolved_fidelity(self, fidelity: Mapping[str, int], workload: Workload) -> dict[str, int]:
        """Replace :data:`ALL_SEEDS` by the number of seeds of the input."""
        fold_input, _ = _fold_input(workload.source)
        return self._fidelity(fidelity, len(fold_input.rng_seeds))

    def _fidelity(self, wanted: Mapping[str, int], seeds: int) -> dict[str, int]:
        chosen = {axis.name: wanted.get(axis.name, axis.low) for axis in self.fidelity_axes}
        if chosen["seeds"] == ALL_SEEDS:
            chosen["seeds"] = seeds
        if chosen["seeds"] > seeds:
            raise UserError(
                f"--seeds asks for {chosen['seeds']} seeds, but the input names only {seeds}: give "
                f"at most {seeds}, or 0 for all"
            )
        return chosen

    def check(self, workload: Workload, configuration: Configuration) -> None:
        """Refuse a bucket that is smaller than the input, and kernels that cannot be built."""
        settings = settings_for(configuration.overrides(), workload.size)
        if settings.native_kernels:
            require_native_kernels(why_no_native_kernels())

    def declared_class(self, overrides: Mapping[str, str]) -> AgreementClass:
        """Return float32 if the network computes without bfloat16, else bfloat16."""
        precision = overrides.get(PRECISION.name, PRECISION.default)
        return AgreementClass.FLOAT32 if precision == FLOAT32 else AgreementClass.BFLOAT16

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int | None:
        """Predict the peak resident set in bytes with a formula fitted at several sizes.

        DeepMind's package and ColabFold's build have a law each.
        """
        package = provider_of(PACKAGE)
        law = None if package is None else LAWS.get(package.distribution)
        if law is None:
            return None
        settings = settings_for(configuration.overrides(), workload.size)
        jaxlib = parse_version(installed_build("jaxlib") or "")
        needed = peak_resident_bytes(settings, workload.fidelity["samples"], law, jaxlib)
        if FileOptions.of(workload.source).distogram:
            needed += DISTOGRAM_BYTES * settings.bucket**2 * workload.fidelity["seeds"]
        return needed

    def part_counts(
        self, fidelity: Mapping[str, int], workload: Workload | None = None
    ) -> dict[str, int]:
        """Count trunk passes, diffusion steps and confidence passes.

        One diffusion step advances all samples of a seed together.
        """
        seeds = fidelity["seeds"]
        return {
            "trunk_pass": seeds * (fidelity["recycles"] + 1),
            "diffusion_step": seeds * fidelity["steps"],
            "confidence": seeds,
        }

    def part_of(self, op_name: str) -> str | None:
        """Find the part of an operation by upstream's module names."""
        if "confidence_head" in op_name:
            return "confidence"
        if LOOP not in op_name:
            # Operations outside the loops run once; one without a name could be anywhere.
            return REST if op_name else None
        if "diffusion_head" in op_name:
            return "diffusion_step"
        return "trunk_pass" if "/evoformer/" in op_name else None

    def module_of(self, op_name: str) -> str | None:
        """Find the module of an operation by upstream's module names."""
        return module_name(op_name, STACKS, BLOCKS)

    def part_fidelity(self) -> Mapping[str, int]:
        """Return one trunk pass and two diffusion steps of as many samples as in production."""
        samples = next(axis for axis in self.fidelity_axes if axis.name == "samples")
        return {"recycles": 0, "steps": 2, "samples": samples.production, "seeds": 1}

    def check_fidelity(self) -> Mapping[str, int]:
        """Return three trunk passes and ten diffusion steps."""
        return {**self.part_fidelity(), "recycles": 2, "steps": 10}

    def worth_trying(self, workload: Workload, name: str, value: str) -> bool:
        """Whether a value can make a difference.

        An exact bucket needs padding to remove. Pair representations need more rows than are
        computed together.
        """
        if name in UPSTREAM_ROWS:
            tokens = workload.size
            return rows_together(name, value, tokens) != rows_together(name, UPSTREAM, tokens)
        padded = settings_for({}, workload.size).bucket != workload.size
        return padded or (name, value) != (BUCKET.name, EXACT)

    def labels(self, workload: Workload) -> tuple[str, ...]:
        """Describe how a workload falls short of production, for the record of its prediction.

        Production predicts every seed of the input.
        """
        fold_input, _ = _fold_input(workload.source)
        production = {axis.name: axis.production for axis in self.fidelity_axes}
        production["seeds"] = len(fold_input.rng_seeds)
        return fidelity_labels(self.fidelity_axes, workload.fidelity, production)

    def _is_worse(self, fidelity: Mapping[str, int]) -> bool:
        """Whether each result is worse than in production, and not only their number lower."""
        return any(
            fidelity[axis.name] < axis.production
            for axis in self.fidelity_axes
            if not axis.counts_results
        )

    def shallow(self, workload: Workload) -> Workload | None:
        """Return the workload with fewer blocks of the pairformers, MSA and diffusion stacks."""
        return shallow_workload(workload)

    def stacks(self, workload: Workload) -> Stacks:
        """Return the stacks that the shallow network has fewer blocks of."""
        return BLOCKS_OF_STACKS

    def stack_of(self, op_name: str) -> str | None:
        """Find the stack of an operation by upstream's module names."""
        return stack_name(op_name)

    def prepare(self, workload: Workload, overrides: Mapping[str, str]) -> Prepared:
        """Featurise the input, load the parameters and describe the computation."""
        from perfkit.models.af3 import computation

        fold_input, _ = _fold_input(workload.source)
        seeds = fold_input.rng_seeds[: workload.fidelity["seeds"]]
        model_dir = workload.source.get("model-dir")
        prepared = computation.prepare(
            dataclasses.replace(fold_input, rng_seeds=seeds),
            settings_for(overrides, workload.size),
            workload.fidelity,
            self.part_counts({**workload.fidelity, "seeds": 1}),
            workload.size,
            None if model_dir is None else Path(str(model_dir)),
            self.labels(workload),
            depth=workload.depth,
            labels_files=self._is_worse(workload.fidelity),
            features=FeatureOptions.of(workload.source),
            files=FileOptions.of(workload.source),
        )
        return without_files(prepared) if workload.depth == SHALLOW_DEPTH else prepared


def _fold_input(
    source: Mapping[str, str | int | float | bool],
) -> tuple[Input, tuple[str, ...]]:
    keys = ("input", "size", *INPUT_OPTIONS)
    fold_input, notices = _read_input(
        *(str(source[key]) if key in source else None for key in keys),
        fix_standalone_glycans=FeatureOptions.of(source).fix_standalone_glycans,
    )
    if NUM_SEEDS in source:
        from perfkit.models.af3.inputs.several import with_seeds

        fold_input = with_seeds(fold_input, int(source[NUM_SEEDS]))
    return fold_input, notices


@lru_cache(maxsize=MOST_INPUTS)
def _read_input(
    path: str | None,
    size: str | None,
    job: str | None,
    molecule: str | None,
    *,
    fix_standalone_glycans: bool,
) -> tuple[Input, tuple[str, ...]]:
    from perfkit.models.af3.inputs.fold_input import UBIQUITIN, load_fold_input, synthetic_protein

    if size is not None:
        residues = int(size)
        if residues >= 10**SIZE_DIGITS:
            raise UserError(
                f"--size takes at most {SIZE_DIGITS} digits, but {residues:.3g} residues are "
                "asked for"
            )
        notice = f"a synthetic protein of {residues} residues, predicted from its sequence alone"
        return synthetic_protein(residues, SEQUENCE_SEED), (notice,)
    return load_fold_input(
        UBIQUITIN if path is None else Path(path),
        job=job,
        molecule=molecule,
        fix_standalone_glycans=fix_standalone_glycans,
    )


def _weights_digest(model_dir: Path) -> str:
    """Digest names, sizes and times of the parameter files, which avoids reading a gigabyte."""
    files = sorted(path for path in model_dir.iterdir() if ".bin" in path.suffixes)
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return short_digest(repr(states), 16)
