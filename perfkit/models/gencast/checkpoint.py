"""GenCast's checkpoint files: one npz archive with configuration and parameters."""

from __future__ import annotations

import dataclasses
import math
import zipfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import UserError, unknown_name
from perfkit.files import replacing
from perfkit.models.gencast.task import TaskConfig

Parameters = dict[str, dict[str, NDArray[np.float32]]]
"""Module path -> ``w`` or ``b`` -> values."""

_SEPARATOR = ":"
_PARAMETERS = "params"


@dataclass(frozen=True)
class SparseTransformerConfig:
    """The processor; the ``block_*`` fields and ``mask_type`` matter to the TPU kernel only."""

    attention_k_hop: int
    d_model: int
    num_layers: int = 16
    num_heads: int = 4
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
    ffw_hidden: int = 2048
    name: str | None = None


@dataclass(frozen=True)
class DenoiserArchitectureConfig:
    """Mesh, widths and query radius of the network."""

    sparse_transformer_config: SparseTransformerConfig
    mesh_size: int
    latent_size: int = 512
    hidden_layers: int = 1
    radius_query_fraction_edge_length: float = 0.6
    norm_conditioning_features: tuple[str, ...] = ("noise_level_encodings",)
    grid2mesh_aggregate_normalization: float | None = None
    node_output_size: int | None = None


@dataclass(frozen=True)
class SamplerConfig:
    """Noise levels and stochastic churn of the sampler."""

    max_noise_level: float = 80.0
    min_noise_level: float = 0.03
    num_noise_levels: int = 20
    rho: float = 7.0
    stochastic_churn_rate: float = 2.5
    churn_min_noise_level: float = 0.75
    churn_max_noise_level: float = math.inf
    noise_level_inflation_factor: float = 1.05


@dataclass(frozen=True)
class NoiseConfig:
    """Noise levels seen in training; kept so that a file is written back whole."""

    training_noise_level_rho: float = 7.0
    training_max_noise_level: float = 88.0
    training_min_noise_level: float = 0.02


@dataclass(frozen=True)
class NoiseEncoderConfig:
    """Fourier features of the noise level and the network that reads them."""

    apply_log_first: bool = True
    base_period: float = 16.0
    num_frequencies: int = 32
    output_sizes: tuple[int, ...] = (32, 16)


@dataclass(frozen=True)
class Checkpoint:
    """A trained (or made) GenCast: parameters and everything needed to run them."""

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
    """Module path -> ``w`` or ``b`` -> shape, for every parameter of the network."""
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
        The file is missing, is no npz archive, is not a GenCast checkpoint (GraphCast's are
        refused by name), or its parameters do not fit its configuration.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            entries = {key: archive[key] for key in archive.files}
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {path}") from error
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(f"{path} is not a checkpoint (an npz archive without pickles)") from error
    tree = _nest(entries)
    if "denoiser_architecture_config" not in tree:
        what = "a GraphCast checkpoint" if "model_config" in tree else "no GenCast checkpoint"
        raise UserError(f"{path} is {what}; give one of the GenCast params files")
    try:
        checkpoint = _build(Checkpoint, tree)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a complete GenCast checkpoint ({error})") from error
    assert isinstance(checkpoint, Checkpoint)
    _check_variables(checkpoint.task_config, path)
    check_parameters(checkpoint, str(path))
    return checkpoint


def _check_variables(task: TaskConfig, path: Path) -> None:
    known = TaskConfig()
    for found, allowed in (
        (task.input_variables, known.input_variables),
        (task.target_variables, known.target_variables),
        (task.forcing_variables, known.forcing_variables),
    ):
        for name in found:
            if name not in allowed:
                raise UserError(f"{path}: {unknown_name('variable', name, allowed)}")


def check_parameters(checkpoint: Checkpoint, origin: str) -> None:
    """Refuse parameters that do not fit the configuration beside them.

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
                    f"{origin}: the parameter {module}:{leaf} has shape {found.shape}, "
                    f"its configuration asks for {shape}"
                )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``checkpoint`` in the official format: one entry per leaf, ``None`` left out.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    with replacing(path, "checkpoint") as file:
        np.savez(file, **_flatten(checkpoint))  # type: ignore[arg-type]  # keys are not keywords


def _flatten(value: Any, prefix: str = "") -> dict[str, NDArray[Any]]:
    if value is None:
        return {}
    children: dict[str, Any]
    if dataclasses.is_dataclass(value):
        children = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    elif isinstance(value, dict):
        children = value
    elif isinstance(value, tuple):
        children = {str(index): item for index, item in enumerate(value)}
    else:
        return {prefix: np.asarray(value)}
    flat: dict[str, NDArray[Any]] = {}
    for name, child in children.items():
        flat |= _flatten(child, f"{prefix}{_SEPARATOR}{name}" if prefix else name)
    return flat


def _nest(entries: dict[str, NDArray[Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in entries.items():
        *parents, leaf = key.split(_SEPARATOR)
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree


def _build(kind: Any, tree: Any) -> Any:
    """Turn nested dictionaries of arrays into the dataclass, tuple or scalar ``kind``."""
    if kind == Parameters:
        return {
            module: {leaf: np.asarray(array, np.float32) for leaf, array in leaves.items()}
            for module, leaves in tree.items()
        }
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        unknown = set(tree) - set(hints)
        if unknown:
            raise ValueError(f"unknown field {min(unknown)}")
        return kind(**{name: _build(hints[name], child) for name, child in tree.items()})  # type: ignore[operator]  # a dataclass is a class here
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return tuple(_build(item, tree[key]) for key in sorted(tree, key=int))
    if get_origin(kind) in (Union, UnionType):
        kind = next(option for option in get_args(kind) if option is not type(None))
    return kind(tree.item())
