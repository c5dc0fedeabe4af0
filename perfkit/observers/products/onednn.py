"""Matrix products in oneDNN, through its C interface.

The library is that of the package ``onednn-cpu-gomp`` (oneDNN 3.2). Names and numbers are those of
its headers ``dnnl_types.h`` and ``dnnl_common_types.h``.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from ctypes import byref, c_int, c_int64, c_size_t, c_void_p
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.errors import MissingDependencyError, PerfkitError
from perfkit.observers.products.product import Product

PACKAGE = "onednn-cpu-gomp"
INSTALL = f"{PACKAGE} is not installed: pip install {PACKAGE}==2023.2.0 (Linux on x86-64)"

LIBRARY = "libdnnl.so.3"
MOST_DIMENSIONS = 12

SUCCESS, UNIMPLEMENTED = 0, 3
CPU_ENGINE, IN_ORDER = 1, 1
ANY_FORMAT = 1
SOURCE, WEIGHTS, RESULT = 1, 33, 17
QUERIES = {SOURCE: 129, WEIGHTS: 131, RESULT: 133}
ALLOCATE = c_void_p(-1)
TYPES = {"float16": 1, "bfloat16": 2, "float32": 3}
ITEM_BYTES = {1: 2, 2: 2, 3: 4}

BLOCK = 1 << 16
"""Number of random values; larger operands repeat them."""

_Dimensions = c_int64 * MOST_DIMENSIONS


class _Argument(ctypes.Structure):
    """``dnnl_exec_arg_t``."""

    _fields_ = (("arg", c_int), ("memory", c_void_p))


class OneDnn:
    """The library, with an engine and a stream.

    Parameters
    ----------
    file
        Path of the library.
    """

    def __init__(self, file: Path) -> None:
        self._c = ctypes.CDLL(str(file))
        self._c.dnnl_memory_desc_get_size.restype = c_size_t
        self._c.dnnl_primitive_desc_query_md.restype = c_void_p
        self._engine, self._stream = c_void_p(), c_void_p()
        self._call("engine_create", byref(self._engine), CPU_ENGINE, c_size_t(0))
        self._call("stream_create", byref(self._stream), self._engine, IN_ORDER)

    @classmethod
    def load(cls) -> OneDnn:
        """Load the library of the installed package.

        Raises
        ------
        MissingDependencyError
            The package is not installed, or the library cannot be loaded here.
        """
        file = installed_library()
        if file is None:
            raise MissingDependencyError(INSTALL)
        try:
            return cls(file)
        except OSError as error:
            raise MissingDependencyError(f"{PACKAGE} cannot be loaded: {error}") from error

    def products(
        self, product: Product, count: int, *, own_layout: bool = False
    ) -> Products | None:
        """Prepare several products of one shape with one left operand of random values.

        Parameters
        ----------
        product
            The shape. Batch axes are one axis, and so are all other axes of one role: an operand is
            a batch of matrices.
        count
            Number of right operands, and of results.
        own_layout
            Whether operands lie in memory as oneDNN prefers for this shape, otherwise row by row.

        Returns
        -------
        Products or None
            None if oneDNN has no product of these types on this CPU.
        """
        kinds = [TYPES.get(each) for each in (product.left_type, product.result_type)]
        if None in kinds or product.left_type != product.right_type:
            return None
        operand_kind, result_kind = (kind for kind in kinds if kind is not None)
        sizes = {
            SOURCE: (product.batch, product.rows, product.depth),
            WEIGHTS: (product.batch, product.depth, product.columns),
            RESULT: (product.batch, product.rows, product.columns),
        }
        plain = {
            role: self._rows_first(size, result_kind if role == RESULT else operand_kind)
            for role, size in sizes.items()
        }
        wanted = dict(plain)
        if own_layout:
            for role in (SOURCE, WEIGHTS):
                wanted[role] = self._any_layout(sizes[role], operand_kind)
        described = self._made(
            "primitive_desc",
            "matmul_primitive_desc_create",
            self._engine,
            wanted[SOURCE],
            wanted[WEIGHTS],
            None,
            wanted[RESULT],
            None,
        )
        if described is None:
            return None
        return Products(self, described, plain, sizes, operand_kind, result_kind, count)

    # -- the C interface ------------------------------------------------------------------------

    def _call(self, name: str, *arguments: Any) -> int:
        status = int(getattr(self._c, f"dnnl_{name}")(*arguments))
        if status not in (SUCCESS, UNIMPLEMENTED):
            raise PerfkitError(f"oneDNN: dnnl_{name} failed with status {status}")
        return status

    def _made(self, kind: str, name: str, *arguments: Any) -> c_void_p | None:
        """An object that is destroyed with its handle; None if it is not implemented."""
        handle = c_void_p()
        if self._call(name, byref(handle), *arguments) == UNIMPLEMENTED:
            return None
        destroy = getattr(self._c, f"dnnl_{kind}_destroy")
        weakref.finalize(handle, destroy, c_void_p(handle.value))
        return handle

    def _needed(self, kind: str, name: str, *arguments: Any) -> c_void_p:
        made = self._made(kind, name, *arguments)
        if made is None:
            raise PerfkitError(f"oneDNN: dnnl_{name} is not implemented on this CPU")
        return made

    def _rows_first(self, size: tuple[int, int, int], kind: int) -> c_void_p:
        _, rows, columns = size
        strides = _Dimensions(rows * columns, columns, 1)
        name = "memory_desc_create_with_strides"
        return self._needed("memory_desc", name, 3, _Dimensions(*size), kind, strides)

    def _any_layout(self, size: tuple[int, int, int], kind: int) -> c_void_p:
        name = "memory_desc_create_with_tag"
        return self._needed("memory_desc", name, 3, _Dimensions(*size), kind, ANY_FORMAT)

    def chosen(self, described: c_void_p, role: int) -> c_void_p:
        """Layout that a primitive takes an operand in; it belongs to the primitive."""
        return c_void_p(self._c.dnnl_primitive_desc_query_md(described, QUERIES[role], 0))

    def memory(self, layout: c_void_p) -> c_void_p:
        """New memory of a layout."""
        return self._needed("memory", "memory_create", layout, self._engine, ALLOCATE)

    def address(self, memory: c_void_p) -> int:
        """Address of the first element."""
        handle = c_void_p()
        self._call("memory_get_data_handle", memory, byref(handle))
        return int(handle.value or 0)

    def primitive(self, described: c_void_p) -> c_void_p:
        """A primitive that can be executed."""
        return self._needed("primitive", "primitive_create", described)

    def reorder(self, source: c_void_p, layout: c_void_p, plain: c_void_p) -> c_void_p:
        """New memory of a layout with the values of plain memory."""
        target = self.memory(layout)
        described = self._needed(
            "primitive_desc",
            "reorder_primitive_desc_create",
            plain,
            self._engine,
            layout,
            self._engine,
            None,
        )
        self.execute(self.primitive(described), _arguments({SOURCE: source, RESULT: target}))
        self.wait()
        return target

    def execute(self, primitive: c_void_p, arguments: Any) -> None:
        """Start a primitive."""
        self._call("primitive_execute", primitive, self._stream, len(arguments), arguments)

    def wait(self) -> None:
        """Wait for everything that was started."""
        self._call("stream_wait", self._stream)


class Products:
    """Several products of one shape; made by :meth:`OneDnn.products`."""

    def __init__(
        self,
        library: OneDnn,
        described: c_void_p,
        plain: dict[int, c_void_p],
        sizes: dict[int, tuple[int, int, int]],
        operand_kind: int,
        result_kind: int,
        count: int,
    ) -> None:
        self._library, self._described, self._plain = library, described, plain
        self._sizes, self._kind, self._result_kind = sizes, operand_kind, result_kind
        self._primitive = library.primitive(described)
        rights = [_random(sizes[WEIGHTS], place) for place in range(1, count + 1)]
        self.write(_random(sizes[SOURCE], 0), rights)

    def write(self, left: np.ndarray, rights: Sequence[np.ndarray]) -> None:
        """Set the operands: float32, shapes (batch, rows, depth) and (batch, depth, columns)."""
        source = self._operand(SOURCE, left)
        self._memories = [source]
        self._results: list[c_void_p] = []
        self._calls: list[Any] = []
        for right in rights:
            weights = self._operand(WEIGHTS, right)
            result = self._library.memory(self._plain[RESULT])
            self._memories.append(weights)
            self._results.append(result)
            self._calls.append(_arguments({SOURCE: source, WEIGHTS: weights, RESULT: result}))

    def run(self) -> None:
        """Compute all products, one after the other, each on all threads."""
        for arguments in self._calls:
            self._library.execute(self._primitive, arguments)
        self._library.wait()

    def result(self, place: int) -> np.ndarray:
        """A result as float32, shape (batch, rows, columns)."""
        size = self._sizes[RESULT]
        count = int(np.prod(size))
        text = ctypes.string_at(
            self._library.address(self._results[place]), count * ITEM_BYTES[self._result_kind]
        )
        return _floats(text, self._result_kind).reshape(size)

    def _operand(self, role: int, values: np.ndarray) -> c_void_p:
        data = _data(values, self._kind)
        memory = self._library.memory(self._plain[role])
        ctypes.memmove(self._library.address(memory), data.ctypes.data, data.nbytes)
        layout = self._library.chosen(self._described, role)
        return self._library.reorder(memory, layout, self._plain[role])


def installed_library() -> Path | None:
    """Path of the library of the installed package; None without it."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == LIBRARY)
    return next((path.resolve() for path in paths if path.exists()), None)


def _arguments(memories: dict[int, c_void_p]) -> Any:
    return (_Argument * len(memories))(
        *(_Argument(role, memory.value) for role, memory in memories.items())
    )


def _random(size: tuple[int, ...], seed: int) -> np.ndarray:
    block = np.random.default_rng(seed).standard_normal(BLOCK, np.float32)
    return np.resize(block, size)


def _data(values: np.ndarray, kind: int) -> np.ndarray:
    """The values as oneDNN stores them; bfloat16 is the upper half of float32."""
    single = np.ascontiguousarray(values, np.float32)
    if kind == TYPES["bfloat16"]:
        return (single.view(np.uint32) >> 16).astype(np.uint16)
    return single.astype(np.float16) if kind == TYPES["float16"] else single


def _floats(data: bytes, kind: int) -> np.ndarray:
    if kind == TYPES["bfloat16"]:
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    dtype = np.float16 if kind == TYPES["float16"] else np.float32
    return np.frombuffer(data, dtype).astype(np.float32)
