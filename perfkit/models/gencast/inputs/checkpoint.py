"""Reads, checks and writes GenCast's checkpoints: npz archives of configuration and parameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from perfkit.errors import UserError, unknown_name
from perfkit.files import replacing
from perfkit.models.gencast.inputs.checkpoint_archive import SEPARATOR, Tree, plain, read_tree
from perfkit.models.gencast.inputs.netcdf import shown
from perfkit.models.gencast.task import (
    FORCING_VARIABLES,
    MASKED_VARIABLE,
    STATIC_VARIABLES,
    TaskConfig,
)

Parameters = dict[str, dict[str, NDArray[np.float32]]]
"""Module path -> ``w`` or ``b`` -> values."""

_PARAMETERS = "params"
"""Key of the parameters in an archive."""

type Count = Annotated[int, Field(ge=1, le=65536)]
"""A width or number of layers. The limit is far above any published model and far below the values
in damaged files."""

type Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""

_CHECKED = with_config(ConfigDict(extra="forbid"))
"""Makes pydantic refuse unknown fields of a dataclass."""


@_CHECKED
@dataclass(frozen=True)
class SparseTransformerConfig:
    """The transformer on the mesh; field names are those of the file.

    The fields ``block_*`` and ``mask_type`` affect the TPU kernel only.
    """

    attention_k_hop: Annotated[int, Field(ge=1, le=1024)]
    d_model: Count
    num_layers: Annotated[int, Field(ge=1, le=100)] = 16
    num_heads: Count = 4
    attention_type: str = "splash_mha"
    mask_type: str = "lazy"
    block_q: int = 1024
    block_kv: int = 512
    block_kv_compute: int = 256
    block_q_dkv: int = 512
    block_kv_dkv: int = 1024
    block_kv_dkv_compute: int = 1024
    ffw_winit_final_mult: float = 0.0
    attn_winit_final_mult: float = 0.0
    ffw_hidden: Count = 2048
    name: str | None = None


@_CHECKED
@dataclass(frozen=True)
class DenoiserArchitectureConfig:
    """Mesh, widths and query radius of the network; field names are those of the file."""

    sparse_transformer_config: SparseTransformerConfig
    mesh_size: Annotated[int, Field(ge=0, le=9)]
    latent_size: Count = 512
    hidden_layers: Annotated[int, Field(ge=0, le=16)] = 1
    radius_query_fraction_edge_length: Annotated[float, Field(gt=0, le=10)] = 0.6
    norm_conditioning_features: tuple[str, ...] = ("noise_level_encodings",)
    grid2mesh_aggregate_normalization: float | None = None
    node_output_size: int | None = None


@_CHECKED
@dataclass(frozen=True)
class SamplerConfig:
    """Noise levels and stochastic churn of the sampler; field names are those of the file."""

    max_noise_level: Positive = 80.0
    min_noise_level: Positive = 0.03
    num_noise_levels: Annotated[int, Field(ge=2, le=10000)] = 20
    rho: Positive = 7.0
    stochastic_churn_rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.5
    churn_min_noise_level: Annotated[float, Field(ge=0)] = 0.75
    churn_max_noise_level: Annotated[float, Field(ge=0)] = math.inf
    noise_level_inflation_factor: Positive = 1.05


@_CHECKED
@dataclass(frozen=True)
class NoiseConfig:
    """Noise levels of the training. They are stored so that a file can be written completely."""

    training_noise_level_rho: float = 7.0
    training_max_noise_level: float = 88.0
    training_min_noise_level: float = 0.02


@_CHECKED
@dataclass(frozen=True)
class NoiseEncoderConfig:
    """Fourier features of the noise level, and the small network that encodes them."""

    apply_log_first: bool = True
    base_period: Positive = 16.0
    num_frequencies: Count = 32
    output_sizes: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 16)


@dataclass(frozen=True)
class Checkpoint:
    """Parameters of GenCast, trained or synthetic, and the configuration to run them.

    Attributes
    ----------
    params
        Module path -> ``w`` or ``b`` -> values.
    denoiser_architecture_config, task_config, sampler_config, noise_config, noise_encoder_config
        Configuration; the names are those of the file.
    description, license
        Texts of the file.
    """

    params: Parameters
    denoiser_architecture_config: DenoiserArchitectureConfig
    task_config: TaskConfig = field(default_factory=TaskConfig)
    sampler_config: SamplerConfig = field(default_factory=SamplerConfig)
    noise_config: NoiseConfig = field(default_factory=NoiseConfig)
    noise_encoder_config: NoiseEncoderConfig = field(default_factory=NoiseEncoderConfig)
    description: str = ""
    license: str = ""


def parameter_shapes(
    architecture: DenoiserArchitectureConfig,
    encoder: NoiseEncoderConfig | None = None,
    task: TaskConfig | None = None,
) -> dict[str, dict[str, tuple[int, ...]]]:
    """Compute the shape of every parameter of the network.

    Parameters
    ----------
    architecture
        Mesh and widths.
    encoder
        Noise encoding; by default the published one.
    task
        Variables; by default the published ones.

    Returns
    -------
    dict
        Module path -> ``w`` or ``b`` -> shape.
    """
    encoder, task = encoder or NoiseEncoderConfig(), task or TaskConfig()
    transformer = architecture.sparse_transformer_config
    width, conditioning = architecture.latent_size, encoder.output_sizes[-1]
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}

    def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> None:
        shapes[name] = {"w": (inputs, outputs)} | ({"b": (outputs,)} if bias else {})

    def mlp(name: str, sizes: tuple[int, ...]) -> None:
        for index, (inputs, outputs) in enumerate(pairwise(sizes)):
            linear(f"{name}/~/linear_{index}", inputs, outputs)

    def modulation(name: str, features: int) -> None:
        linear(f"{name}/linear", conditioning, 2 * features)

    hidden = (width,) * architecture.hidden_layers
    mlp("fourier_features_mlp/~/mlp", (2 * encoder.num_frequencies, *encoder.output_sizes))
    node_inputs = task.grid_channels + 3
    for network, blocks in {
        "grid2mesh_gnn": {
            "encoder_nodes_grid_nodes": node_inputs,
            "encoder_nodes_mesh_nodes": node_inputs,
            "encoder_edges_grid2mesh": 4,
            "processor_edges_0_grid2mesh": 3 * width,
            "processor_nodes_0_mesh_nodes": 2 * width,
            "processor_nodes_0_grid_nodes": width,
        },
        "mesh2grid_gnn": {
            "encoder_edges_mesh2grid": 4,
            "processor_edges_0_mesh2grid": 3 * width,
            "processor_nodes_0_grid_nodes": 2 * width,
            "processor_nodes_0_mesh_nodes": width,
        },
    }.items():
        for block, inputs in blocks.items():
            name = f"{network}/~_networks_builder/{block}"
            mlp(f"{name}_mlp", (inputs, *hidden, width))
            modulation(f"{name}_norm_conditioning", width)
    mlp(
        "mesh2grid_gnn/~_networks_builder/decoder_nodes_grid_nodes_mlp",
        (width, *hidden, task.output_channels),
    )
    prefix, model = "mesh_transformer/~/transformer", transformer.d_model
    for layer in range(transformer.num_layers):
        block = f"{prefix}/block_{layer:02d}"
        modulation(f"{block}/block_{layer:02d}_norm_conditioning", model)
        modulation(f"{block}/block_{layer:02d}_norm_conditioning_1", model)
        for projection in ("q", "k", "v"):
            linear(f"{block}/mha_proj_{projection}", model, model, bias=False)
        linear(f"{block}/mha_final", model, model)
        linear(f"{block}/ffw_up", model, transformer.ffw_hidden)
        linear(f"{block}/ffw_down", transformer.ffw_hidden, model)
    modulation(f"{prefix}/transformer_final_norm_conditioning", model)
    return shapes


def load_checkpoint(path: Path) -> Checkpoint:
    """Read an official checkpoint.

    Raises
    ------
    UserError
        The file is missing, damaged, not an npz archive or not a GenCast checkpoint (the message
        identifies one of GraphCast); its configuration is impossible; or its parameters do not
        fit its configuration.
    """
    tree = read_tree(path)
    if "denoiser_architecture_config" not in tree:
        what = "a GraphCast" if "model_config" in tree else "not a GenCast"
        raise UserError(f"{path} is {what} checkpoint; give one of the GenCast params files")
    params = _parameters(tree.pop(_PARAMETERS, {}), path)
    checkpoint = Checkpoint(params, **_configuration(tree, path))
    _check_variables(checkpoint.task_config, path)
    check_parameters(checkpoint, str(path))
    _check_sizes(checkpoint, path)
    return checkpoint


def _configuration(tree: Tree, path: Path) -> dict[str, Any]:
    """Validate all fields of a checkpoint except the parameters."""
    kinds = get_type_hints(Checkpoint, include_extras=True)
    found: dict[str, Any] = {}
    for name, branch in tree.items():
        if name not in kinds:
            raise UserError(
                f"{path} is not a complete GenCast checkpoint (unknown field {shown(name)})"
            )
        try:
            found[name] = TypeAdapter(kinds[name]).validate_python(plain(branch))
        except ValidationError as error:
            detail = _first_problem(error, name)
            raise UserError(f"{path} is not a complete GenCast checkpoint ({detail})") from error
        except ValueError as error:
            detail = f"{name}: {error}"
            raise UserError(f"{path} is not a complete GenCast checkpoint ({detail})") from error
    return found


def _first_problem(error: ValidationError, name: str) -> str:
    problem = error.errors(include_url=False)[0]
    where = shown(SEPARATOR.join((name, *map(str, problem["loc"]))))
    if problem["type"] == "unexpected_keyword_argument":
        return f"unknown field {where}"
    return f"{where}: {problem['msg']}"


def _parameters(tree: Tree | NDArray[Any], path: Path) -> Parameters:
    """Convert the parameters to float32; refuse values that are not finite numbers."""
    modules = tree if isinstance(tree, dict) else {}
    params: Parameters = {}
    for module, leaves in modules.items():
        for leaf, array in leaves.items() if isinstance(leaves, dict) else ():
            name = shown(f"{module}{SEPARATOR}{leaf}")
            if isinstance(array, dict) or array.dtype.kind not in "iuf":
                raise UserError(f"{path}: the parameter {name} does not hold numbers")
            values = np.asarray(array, np.float32)
            if not np.isfinite(values).all():
                raise UserError(f"{path}: the parameter {name} has values that are not finite")
            params.setdefault(module, {})[leaf] = values
    return params


def _check_variables(task: TaskConfig, path: Path) -> None:
    known = TaskConfig()
    for group in ("input_variables", "target_variables", "forcing_variables"):
        found, allowed = getattr(task, group), getattr(known, group)
        for name in found:
            if name not in allowed:
                raise UserError(f"{path}: {unknown_name('variable', shown(name), allowed)}")
        if len(set(found)) < len(found):
            raise UserError(f"{path}: {group} contains a variable twice")
    given = {*STATIC_VARIABLES, *task.target_variables, *task.forcing_variables}
    for name in task.input_variables:
        if name not in given:
            raise UserError(f"{path}: the input {name} is neither a target nor a forcing")
    both = set(task.input_variables) & set(task.target_variables)
    if MASKED_VARIABLE not in both:
        raise UserError(f"{path}: {MASKED_VARIABLE} must be an input and a target")
    if set(task.forcing_variables) != set(FORCING_VARIABLES):
        raise UserError(f"{path}: the forcings must be {', '.join(FORCING_VARIABLES)}")
    if len(set(task.pressure_levels)) < len(task.pressure_levels):
        raise UserError(f"{path}: pressure_levels contains a level twice")


def _check_sizes(checkpoint: Checkpoint, path: Path) -> None:
    architecture = checkpoint.denoiser_architecture_config
    transformer, sampler = architecture.sparse_transformer_config, checkpoint.sampler_config
    if transformer.d_model != architecture.latent_size:
        raise UserError(
            f"{path}: the transformer has width {transformer.d_model} and the other layers have "
            f"width {architecture.latent_size}; GenCast needs equal widths"
        )
    if transformer.d_model % transformer.num_heads:
        raise UserError(
            f"{path}: a width of {transformer.d_model} cannot be divided among "
            f"{transformer.num_heads} heads"
        )
    if sampler.min_noise_level >= sampler.max_noise_level:
        raise UserError(
            f"{path}: min_noise_level {sampler.min_noise_level:g} is not below max_noise_level "
            f"{sampler.max_noise_level:g}"
        )


def check_parameters(checkpoint: Checkpoint, origin: str) -> None:
    """Refuse parameters that do not fit the configuration of their checkpoint.

    Parameters
    ----------
    checkpoint
        The checkpoint.
    origin
        Name of its source, for messages.

    Raises
    ------
    UserError
        A parameter is missing or has another shape.
    """
    wanted = parameter_shapes(
        checkpoint.denoiser_architecture_config,
        checkpoint.noise_encoder_config,
        checkpoint.task_config,
    )
    for module, leaves in wanted.items():
        for leaf, shape in leaves.items():
            found = checkpoint.params.get(module, {}).get(leaf)
            if found is None:
                raise UserError(f"{origin} lacks the parameter {module}:{leaf}")
            if found.shape != shape:
                raise UserError(
                    f"{origin}: the parameter {module}:{leaf} has shape {found.shape}, but the "
                    f"configuration needs {shape}"
                )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint in the official format: one entry per leaf, without None.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    with replacing(path, "checkpoint") as file:
        np.savez(file, **_flatten(checkpoint))  # type: ignore[arg-type]  # keys are entries


def _flatten(value: Any, prefix: str = "") -> dict[str, NDArray[Any]]:
    if value is None:
        return {}
    children: dict[str, Any]
    if dataclasses.is_dataclass(value):
        children = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    elif isinstance(value, Mapping):
        children = dict(value)
    elif isinstance(value, tuple):
        children = {str(index): item for index, item in enumerate(value)}
    else:
        return {prefix: np.asarray(value)}
    flat: dict[str, NDArray[Any]] = {}
    for name, child in children.items():
        flat |= _flatten(child, f"{prefix}{SEPARATOR}{name}" if prefix else name)
    return flat
