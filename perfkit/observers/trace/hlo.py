"""Kind, FLOPs, bytes and origin of the operations of an optimised HLO module.

FLOPs are counted as in XLA's ``HloCostAnalysis``: 2 per multiply-add of a product, 1 per element
of arithmetic, 1 per input element of a reduction. Bytes are counted as if each operand were read
once; a slice or gather reads as much as it returns, an update in place writes as much as it is
given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

ITEM_BYTES = {
    "pred": 1, "s4": 1, "u4": 1, "s8": 1, "u8": 1, "f8e4m3fn": 1, "f8e5m2": 1,
    "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "f32": 4,
    "s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16,
}  # fmt: skip

CONTROL_FLOW = {"call", "conditional", "while"}
"""Operations that run the instructions of other computations."""

FREE = {
    "after-all", "bitcast", "constant", "get-tuple-element", "parameter", "tuple"
}  # fmt: skip
"""Operations that compute and move nothing."""

MOVES = {
    "bitcast", "broadcast", "concatenate", "constant", "copy", "dynamic-slice",
    "dynamic-update-slice", "get-tuple-element", "iota", "pad", "parameter", "reshape", "reverse",
    "slice", "transpose", "tuple",
}  # fmt: skip
SLICES = {"dynamic-slice", "gather", "slice"}
NO_ARITHMETIC = MOVES | {"and", "compare", "convert", "gather", "scatter", "select"}

_HEADER = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_NAME = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = ")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")
_OPERAND = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_OP_NAME = re.compile(r'op_name="([^"]*)"')


class Kind(StrEnum):
    """Main purpose of an operation."""

    DOT = "dot"
    ELEMENTWISE = "fused elementwise"
    GATHER = "gather/scatter"
    MOVE = "copy/transpose"
    REDUCE = "reduce"
    LOOP = "loop overhead"
    WAIT = "waiting"
    OTHER = "other"


@dataclass(frozen=True)
class Array:
    """Type of an array.

    Attributes
    ----------
    dtype
        Element type, as HLO names it.
    dimensions
        Shape.
    """

    dtype: str
    dimensions: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.dimensions)

    @property
    def bytes(self) -> int:
        """Size in bytes, 0 for types without a size (tokens)."""
        return self.elements * ITEM_BYTES.get(self.dtype, 0)


@dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes
    ----------
    name, opcode
        Name and operation.
    arrays
        Types of the results.
    operands
        Names of the operands.
    called
        Computations that the operation runs or applies, e.g. ``calls=``, ``to_apply=``, ``body=``.
    contracted
        Contracted dimensions of the left operand of a product.
    op_name
        Position in the traced Python program, from the metadata; empty without any.
    root
        Whether the result is that of the computation.
    """

    name: str
    opcode: str
    arrays: tuple[Array, ...]
    operands: tuple[str, ...]
    called: tuple[str, ...]
    contracted: tuple[int, ...]
    op_name: str
    root: bool

    @property
    def bytes(self) -> int:
        """Size of the result in bytes."""
        return sum(array.bytes for array in self.arrays)

    @property
    def elements(self) -> int:
        """Number of elements of the result."""
        return sum(array.elements for array in self.arrays)


type Computation = dict[str, Instruction]


class Dot(NamedTuple):
    """A matrix product in an operation: its ``op_name``, FLOPs and elements of the result."""

    op_name: str
    flops: float
    elements: int


@dataclass(frozen=True)
class Cost:
    """Cost of one run of an operation.

    Attributes
    ----------
    kind
        Main purpose.
    flops
        Floating-point operations.
    bytes
        Bytes that are read and written.
    dtype
        Element type of the operands of the largest matrix product; empty without a product.
    products
        The matrix products.
    """

    kind: Kind
    flops: float
    bytes: float
    dtype: str
    products: tuple[Dot, ...] = ()


@dataclass
class HloModule:
    """An optimised HLO module.

    Attributes
    ----------
    computations
        Computations by name.
    """

    computations: dict[str, Computation] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> HloModule:
        """Read the text of a module, as ``compiled.as_text()`` returns it."""
        module = cls()
        current: Computation | None = None
        for line in text.splitlines():
            header = _HEADER.match(line)
            if header is not None:
                current = module.computations.setdefault(header[1], {})
            elif current is not None:
                instruction = _instruction(line)
                if instruction is not None:
                    current[instruction.name] = instruction
        return module

    @cached_property
    def instructions(self) -> dict[str, Instruction]:
        """All instructions by name, which is unique in a module."""
        return {
            one.name: one
            for computation in self.computations.values()
            for one in computation.values()
        }

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """Costs by name of the instructions that run as operations of their own.

        These are all but the instructions of fusions and of functions that are applied to elements
        (e.g. by ``reduce``). A call costs what the called function does, with the body of a loop
        counted once; loops and branches cost nothing themselves.
        """
        inner = {
            name
            for one in self.instructions.values()
            if one.opcode not in CONTROL_FLOW
            for name in one.called
        }
        return {
            one.name: self._cost(one, computation)
            for name, computation in self.computations.items()
            if name not in inner
            for one in computation.values()
            if one.opcode not in FREE
        }

    def op_name(self, name: str) -> str:
        """The ``op_name`` of an instruction; empty if it has none or is not in the module."""
        found = self.instructions.get(name)
        return "" if found is None else found.op_name

    def controlled_by(self, name: str) -> set[str]:
        """Names of the instructions that an instruction of control flow runs, at any depth.

        Empty for any other instruction.
        """
        found = self.instructions.get(name)
        if found is None or found.opcode not in CONTROL_FLOW:
            return set()
        names: set[str] = set()
        for computation in found.called:
            for one in self.computations.get(computation, {}).values():
                names |= {one.name, *self.controlled_by(one.name)}
        return names

    def _cost(self, one: Instruction, around: Computation) -> Cost:
        if one.opcode in ("conditional", "while"):
            return Cost(Kind.LOOP, 0.0, 0.0, "")
        body = list(self._leaves(one, around))
        opcodes = {leaf.opcode for leaf, _ in body}
        flops = sum(_flops(leaf, inside) for leaf, inside in body)
        dots = [(leaf, inside) for leaf, inside in body if leaf.opcode == "dot"]
        dtype = ""
        if dots:
            heaviest, inside = max(dots, key=lambda pair: _flops(*pair))
            first = inside.get(heaviest.operands[0])
            dtype = first.arrays[0].dtype if first else heaviest.arrays[0].dtype
        products = tuple(Dot(leaf.op_name, _flops(leaf, at), leaf.elements) for leaf, at in dots)
        return Cost(_kind(opcodes), flops, self._bytes(one, around), dtype, products)

    def _leaves(
        self, one: Instruction, around: Computation
    ) -> Iterator[tuple[Instruction, Computation]]:
        """The instructions that an operation consists of, with the computations they are in."""
        if one.opcode == "fusion" or one.opcode in CONTROL_FLOW:
            for name in one.called:
                inside = self.computations.get(name, {})
                for leaf in inside.values():
                    yield from self._leaves(leaf, inside)
        elif one.opcode not in FREE:
            yield one, around

    def _bytes(self, one: Instruction, around: Computation) -> float:
        inside = self.computations.get(one.called[0]) if one.called else None
        if one.opcode not in ("call", "fusion") or inside is None:
            return _plain_bytes(one, around)
        read = 0.0
        for parameter in (each for each in inside.values() if each.opcode == "parameter"):
            read += _parameter_bytes(parameter, inside)
        roots = [each for each in inside.values() if each.root]
        return read + sum(_written_bytes(root, inside) for root in roots)


def _instruction(line: str) -> Instruction | None:
    named = _NAME.match(line)
    if named is None:
        return None
    rest = line[named.end() :]
    # The type of a tuple holds brackets, spaces and comments; that of an array has no space.
    end = _closing(rest) + 1 if rest.startswith("(") else rest.find(" ")
    kind, behind = rest[:end], rest[end:].lstrip()
    opcode, _, tail = behind.partition("(")
    arguments = tail[: _closing("(" + tail) - 1]
    attributes = tail[len(arguments) :]
    contracted, branches = _CONTRACTED.search(attributes), _BRANCHES.search(attributes)
    called = _CALLED.findall(attributes) + (_OPERAND.findall(branches[1]) if branches else [])
    op_name = _OP_NAME.search(attributes)
    return Instruction(
        name=named[1],
        opcode=opcode,
        arrays=tuple(
            Array(dtype, tuple(int(d) for d in dimensions.split(",") if d))
            for dtype, dimensions in _ARRAY.findall(kind)
        ),
        operands=tuple(_OPERAND.findall(arguments)),
        called=tuple(called),
        contracted=tuple(int(d) for d in contracted[1].split(",") if d) if contracted else (),
        op_name=op_name[1] if op_name else "",
        root=line.lstrip().startswith("ROOT "),
    )


def _closing(text: str) -> int:
    """Position of the bracket that closes the first character of ``text``."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place
    return len(text)


def _kind(opcodes: set[str]) -> Kind:
    if "dot" in opcodes or "convolution" in opcodes:
        return Kind.DOT
    if opcodes & {"custom-call", "sort", "fft", "rng", "rng-bit-generator"}:
        return Kind.OTHER
    if opcodes & {"gather", "scatter"}:
        return Kind.GATHER
    if opcodes & {"reduce", "reduce-window"}:
        return Kind.REDUCE
    return Kind.MOVE if opcodes <= MOVES else Kind.ELEMENTWISE


def _flops(one: Instruction, around: Computation) -> float:
    if one.opcode == "dot":
        left = around.get(one.operands[0])
        depth = 1
        if left is not None:
            depth = math.prod(left.arrays[0].dimensions[axis] for axis in one.contracted)
        return 2.0 * one.elements * depth
    if one.opcode in ("reduce", "reduce-window"):
        source = around.get(one.operands[0])
        return float(source.elements if source is not None else one.elements)
    return 0.0 if one.opcode in NO_ARITHMETIC else float(one.elements)


def _plain_bytes(one: Instruction, around: Computation) -> float:
    if one.opcode in SLICES:
        return 2.0 * one.bytes
    sizes = [around[name].bytes for name in one.operands if name in around]
    if one.opcode == "dynamic-update-slice":
        return 2.0 * sizes[1] if len(sizes) > 1 else float(one.bytes)
    return float(sum(sizes) + one.bytes)


def _users(one: Instruction, inside: Computation) -> list[Instruction]:
    """The instructions that read a value, directly or through a ``bitcast`` of it."""
    users: list[Instruction] = []
    for each in inside.values():
        if one.name in each.operands:
            users += _users(each, inside) if each.opcode == "bitcast" else [each]
    return users


def _parameter_bytes(parameter: Instruction, inside: Computation) -> float:
    """Bytes that a fusion reads of one operand."""
    users = _users(parameter, inside)
    if users and all(user.opcode in SLICES for user in users):
        return float(min(parameter.bytes, sum(user.bytes for user in users)))
    if users and all(_updates(user, parameter, inside) for user in users):
        return 0.0
    return float(parameter.bytes)


def _updates(user: Instruction, parameter: Instruction, inside: Computation) -> bool:
    """Whether ``user`` writes a part of ``parameter`` in place."""
    if user.opcode != "dynamic-update-slice":
        return False
    target = inside.get(user.operands[0])
    while target is not None and target.opcode == "bitcast":
        target = inside.get(target.operands[0])
    return target is parameter


def _written_bytes(root: Instruction, inside: Computation) -> float:
    """Bytes that a fusion writes: its result, or the part that it updates in place."""
    parts = [inside[name] for name in root.operands if name in inside]
    if root.opcode == "tuple":
        return sum(_written_bytes(part, inside) for part in parts)
    if root.opcode == "bitcast" and parts:
        return _written_bytes(parts[0], inside)
    if root.opcode == "dynamic-update-slice" and len(parts) > 1:
        return float(parts[1].bytes)
    return float(root.bytes)
