"""Loads AlphaFold 3's parameters: real ones from a folder, or memory-mapped synthetic ones."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from pydantic import BaseModel, TypeAdapter

from perfkit.cache import Entry, cached_file
from perfkit.errors import UserError
from perfkit.files import JsonData
from perfkit.models.af3.package import package_identity
from perfkit.models.af3.synthetic_weights import (
    SEED,
    ParameterShape,
    shapes_of,
    synthetic_parameters,
)
from perfkit.records.machine import available_memory_bytes
from perfkit.units import bytes_text

ALIGNMENT_BYTES = 64
"""Alignment at which JAX uses a NumPy array on the CPU without copying it."""

SYNTHETIC_NOTICE = (
    "synthetic weights: timing and memory are those of the real model, the structure means nothing"
)

META, IDENTIFIER = "__meta__", "__identifier__"
"""Module and name under which upstream stores the identifier of its parameters."""

FORMAT_VERSION = 3
"""Version of the file's layout and of the synthetic rule. Raise it when either changes."""

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
"""Exceptions of upstream's reader when lengths, names or types in a file are invalid."""

_HEADER_BYTES = 18
"""Largest size of a header of a frame, see RFC 8878, section 3.1.1.1, with the magic number."""

_BLOCK_BYTES = 1 << 20

Parameters = dict[str, dict[str, Any]]
"""Module path -> parameter name -> array."""


def has_weights(model_dir: Path) -> bool:
    """Return whether a folder holds a file that upstream would load (``*.bin``, ``*.bin.zst``)."""
    return model_dir.is_dir() and any(
        ".bin" in path.suffixes and path.is_file() for path in model_dir.iterdir()
    )


def check_model_dir(model_dir: Path) -> None:
    """Check that a folder holds parameters.

    Raises
    ------
    UserError
        The folder does not exist or holds no parameters.
    """
    if not model_dir.is_dir():
        raise UserError(
            f"there is no model folder {model_dir}: give --model-dir the folder of AlphaFold 3's "
            "weights, or leave it out for synthetic weights"
        )
    if not has_weights(model_dir):
        raise UserError(
            f"the model folder {model_dir} holds no weights; "
            "AlphaFold 3's weights are a file such as af3.bin.zst"
        )


def real_parameters(model_dir: Path, *, float32: bool) -> Parameters:
    """Load real parameters with upstream's own loader.

    Parameters
    ----------
    model_dir
        Folder with ``af3.bin.zst``, its parts, or the uncompressed file.
    float32
        Whether to widen parameters that are stored in bfloat16. This does not change any value.

    Returns
    -------
    dict
        Module path -> parameter name -> array.

    Raises
    ------
    UserError
        The folder holds no parameters, or they cannot be read.
    """
    from alphafold3.model import params

    check_model_dir(model_dir)
    try:
        _refuse_larger_than_memory(model_dir)
        loaded = params.get_model_haiku_params(model_dir=model_dir)
    except (*_UNREADABLE, params.RecordError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"the weights in {model_dir} cannot be read: {reason}") from error
    except Exception as error:
        # zstandard's own error is a direct subclass of Exception.
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


def _refuse_larger_than_memory(model_dir: Path) -> None:
    """Refuse a file of some kilobytes that unpacks to more than the free memory.

    Raises
    ------
    UserError
        The parameters are larger than the free memory.
    """
    import zstandard
    from alphafold3.model import params

    files, is_packed = params.select_model_files(model_dir)
    free_bytes = available_memory_bytes()
    size = sum(Path(file).stat().st_size for file in files)
    if is_packed:
        with Path(files[0]).open("rb") as stream:
            size = zstandard.frame_content_size(stream.read(_HEADER_BYTES))
        if size < 0:
            # The header does not have to state the size.
            with params.open_for_reading(files, is_packed) as stream:
                size = 0
                while size <= free_bytes and (block := stream.read(_BLOCK_BYTES)):
                    size += len(block)
    if size > free_bytes:
        raise UserError(
            f"the weights in {model_dir} need {bytes_text(size)} of memory, but "
            f"{bytes_text(free_bytes)} are free; the file is damaged or too large"
        )


def synthetic_parameters_mapped(
    shapes: Callable[[], Any],
    *,
    float32: bool,
    seed: int = SEED,
    package: Mapping[str, JsonData] | None = None,
) -> Parameters:
    """Return synthetic parameters, generated once into the cache and memory-mapped from there.

    Packages of AlphaFold 3 differ in their parameters, so each installed one has its own file.
    The file is verified on every call, which takes about one second of CPU time per gigabyte.

    Parameters
    ----------
    shapes
        Returns the Haiku tree of shapes and dtypes under upstream's default precision. Called
        only if the file has to be made, because tracing the initialisation takes long.
    float32
        Whether to store all parameters as float32. Values that upstream's default precision
        stores in bfloat16 are rounded to bfloat16 in either case.
    seed
        Seed of the values.
    package
        Identity of the AlphaFold 3 package, part of the cache key; by default
        :func:`~perfkit.models.af3.package.package_identity`.

    Returns
    -------
    dict
        Module path -> parameter name -> read-only array.

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
            "package": package_identity() if package is None else dict(package),
            # NumPy may change the values of a seed from release to release.
            "numpy": np.__version__,
        },
    )

    def write(stream: BinaryIO) -> JsonData:
        return _write(stream, synthetic_parameters(shapes_of(shapes()), seed), float32)

    path, index = cached_file(entry, ".bin", write)
    parameters = _map(path, TypeAdapter(list[_Stored]).validate_python(index))
    label = np.frombuffer(f"synthetic weights, seed {seed}".encode(), np.uint8)
    parameters[META] = {IDENTIFIER: label}
    return parameters


def let_go(array: Any) -> None:
    """Take the memory of a memory-mapped array out of this process; it is read again if used.

    Parameters
    ----------
    array
        Array of :func:`synthetic_parameters_mapped`. Others are left alone.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray) and not isinstance(owner.base, mmap.mmap):
        owner = owner.base
    if not isinstance(owner, np.ndarray):
        return
    mapping: Any = owner.base
    start = array.ctypes.data - owner.ctypes.data
    # Only whole pages can be let go of.
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (start + array.nbytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
    if size > 0:
        mapping.madvise(mmap.MADV_DONTNEED, first, size)


class _Stored(BaseModel):
    """Entry of a parameter in the index of a file; ``offset`` is in bytes."""

    module: str
    name: str
    shape: tuple[int, ...]
    dtype: Literal["bfloat16", "float32"]
    offset: int


def _write(
    stream: BinaryIO, parameters: Iterable[tuple[ParameterShape, np.ndarray]], float32: bool
) -> JsonData:
    """Write aligned parameters to a flat file and return its index."""
    import ml_dtypes

    index: list[JsonData] = []
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
