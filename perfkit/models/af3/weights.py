"""Parameters of AlphaFold 3: real ones from the user's folder, or synthetic ones, memory-mapped."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from pydantic import BaseModel, TypeAdapter

from perfkit.cache import Entry, cached_file
from perfkit.errors import UserError
from perfkit.files import Plain
from perfkit.models.af3.package import package_identity
from perfkit.models.af3.synthetic_weights import (
    SEED,
    ParameterShape,
    shapes_of,
    synthetic_parameters,
)

ALIGNMENT_BYTES = 64
"""JAX takes over a NumPy array on the CPU without a copy only when it is aligned so."""

SYNTHETIC_NOTICE = (
    "synthetic weights: timing and memory are those of the real model, the structure means nothing"
)

IDENTIFIER = ("__meta__", "__identifier__")
"""Where upstream keeps the identity of its parameters."""

FORMAT_VERSION = 3
"""Raised with each change of the file's layout or of the synthetic rule."""

_UNREADABLE = (
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    TypeError,
    MemoryError,
    OverflowError,
    struct.error,
)
"""What upstream's reader raises when lengths, names or types in a file are nonsense."""

Parameters = dict[str, dict[str, Any]]


def has_weights(model_dir: Path) -> bool:
    """Whether a folder holds something that upstream would load (``*.bin``, ``*.bin.zst``, ...)."""
    return model_dir.is_dir() and any(
        ".bin" in path.suffixes and path.is_file() for path in model_dir.iterdir()
    )


def check_model_dir(model_dir: Path) -> None:
    """Refuse a folder without parameters.

    Raises
    ------
    UserError
        The folder does not exist or holds no parameters.
    """
    if not model_dir.is_dir():
        raise UserError(f"there is no model folder {model_dir}")
    if not has_weights(model_dir):
        raise UserError(
            f"the model folder {model_dir} holds no weights; "
            "AlphaFold 3's are a file such as af3.bin.zst"
        )


def real_parameters(model_dir: Path, *, float32: bool) -> Parameters:
    """Upstream's parameters from ``model_dir``, by upstream's own loader.

    Parameters
    ----------
    model_dir
        Folder with ``af3.bin.zst`` (or its parts, or uncompressed).
    float32
        Whether to widen parameters that are stored in bfloat16, which changes no value.

    Raises
    ------
    UserError
        The folder holds no parameters, or they cannot be read.
    """
    from alphafold3.model import params

    check_model_dir(model_dir)
    try:
        loaded = params.get_model_haiku_params(model_dir=model_dir)
    except (*_UNREADABLE, params.RecordError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"the weights in {model_dir} cannot be read: {reason}") from error
    except Exception as error:
        # zstandard's own error derives from Exception alone.
        if type(error).__module__.startswith(("zstandard", "zstd")):
            raise UserError(f"the weights in {model_dir} cannot be decompressed") from error
        raise
    if not loaded:
        raise UserError(f"the weights in {model_dir} are empty")
    import jax.numpy as jnp

    if not float32:
        return dict(loaded)
    return {
        module: {
            name: leaf.astype(jnp.float32) if leaf.dtype == jnp.bfloat16 else leaf
            for name, leaf in leaves.items()
        }
        for module, leaves in loaded.items()
    }


def synthetic_parameters_mapped(
    shapes: Callable[[], Any], *, float32: bool, seed: int = SEED
) -> Parameters:
    """Synthetic parameters, generated once into the cache and memory-mapped from there.

    Each installed AlphaFold 3 has its own file: packages differ in their parameters. The file is
    checked each time, which takes about a second of CPU time per gigabyte.

    Parameters
    ----------
    shapes
        Gives the Haiku tree of shapes and dtypes under upstream's default precision; called
        only when the file has to be made, because tracing the initialisation takes long.
    float32
        Whether all are stored as float32; their values are the same ones, rounded to bfloat16
        where upstream's default precision does.
    seed
        Seed of the values.

    Returns
    -------
    dict
        Module path to parameter name to read-only array.

    Raises
    ------
    UserError
        The cache cannot be written.
    """
    kind = "float32" if float32 else "bfloat16"
    entry = Entry(
        "af3-weights",
        f"file of synthetic weights in {kind}",
        {
            "format": FORMAT_VERSION,
            "seed": seed,
            "precision": kind,
            "package": package_identity(),
            # NumPy may change the values that a seed gives from release to release.
            "numpy": np.__version__,
        },
    )

    def write(stream: BinaryIO) -> Plain:
        return _write(stream, synthetic_parameters(shapes_of(shapes()), seed), float32)

    path, index = cached_file(entry, ".bin", write)
    parameters = _map(path, TypeAdapter(list[_Stored]).validate_python(index))
    module, name = IDENTIFIER
    label = np.frombuffer(f"synthetic weights, seed {seed}".encode(), np.uint8)
    parameters[module] = {name: label}
    return parameters


class _Stored(BaseModel):
    """Where a parameter lies in the file: ``offset`` in bytes."""

    module: str
    name: str
    shape: tuple[int, ...]
    dtype: Literal["bfloat16", "float32"]
    offset: int


def _write(
    stream: BinaryIO, parameters: Iterable[tuple[ParameterShape, np.ndarray]], float32: bool
) -> Plain:
    """Leave parameters in a flat file, each aligned; returns where each one lies."""
    import ml_dtypes

    index: list[Plain] = []
    for parameter, exact in parameters:
        rounded = exact.astype(ml_dtypes.bfloat16 if parameter.dtype == "bfloat16" else np.float32)
        stored = rounded.astype(np.float32) if float32 else rounded
        stream.write(b"\0" * (-stream.tell() % ALIGNMENT_BYTES))
        index.append(
            {
                "module": parameter.module,
                "name": parameter.name,
                "shape": parameter.shape,
                "dtype": str(stored.dtype),
                "offset": stream.tell(),
            }
        )
        stream.write(stored.tobytes())
    return index


def _map(path: Path, index: Iterable[_Stored]) -> Parameters:
    import ml_dtypes

    data = np.memmap(path, np.uint8, mode="r")
    parameters: Parameters = {}
    for entry in index:
        dtype = np.dtype(ml_dtypes.bfloat16 if entry.dtype == "bfloat16" else np.float32)
        size = int(np.prod(entry.shape)) * dtype.itemsize
        raw = data[entry.offset : entry.offset + size]
        array = raw.view(dtype).reshape(entry.shape)
        parameters.setdefault(entry.module, {})[entry.name] = array
    return parameters
