"""What each operation of an optimised HLO module does: its kind, FLOPs, bytes, and where from.

FLOPs are counted as XLA's own ``HloCostAnalysis`` does: 2 a multiply-add of a product, one an
element of arithmetic, one an input element of a reduction. Bytes are what an operation reads and
writes if each operand is read once; slices and gathers read what they return, updates in place
write what they are given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

ITEM_BYTES = {
    "pred": 1, "s4": 1, "u4": 1, "s8": 1, "u8": 1, "f8e4m3fn": 1, "f8e5m2": 1,
    "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "f32": 4,
    "s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16,
}  # fmt: skip

FREE = {
    "after-all", "bitcast", "conditional", "constant", "get-tuple-element", "parameter", "tuple",
    "while",
}  # fmt: skip
"""Operations that move nothing themselves; loops and branches consist of others."""

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
_CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")
_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_OP_NAME = re.compile(r'op_name="([^"]*)"')


class Kind(StrEnum):
    """What an operation mainly does."""

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
    """Element type and dimensions of one array."""

    dtype: str
    dimensions: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.dimensions)

    @property
    def bytes(self) -> int:
        """Size; types without a size (tokens) have none."""
        return self.elements * ITEM_BYTES.get(self.dtype, 0)


@dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    opcode: str
    arrays: tuple[Array, ...]
    operands: tuple[str, ...]
    called: str | None
    contracted: tuple[int, ...]
    op_name: str
    root: bool

    @property
    def bytes(self) -> int:
        """Size of the result."""
        return sum(array.bytes for array in self.arrays)

    @property
    def elements(self) -> int:
        """Elements of the result."""
        return sum(array.elements for array in self.arrays)


type Computation = dict[str, Instruction]


@dataclass(frozen=True)
class Cost:
    """What one run of an operation does.

    ``dtype`` is that of the operands of its products, empty without any.
    """

    kind: Kind
    flops: float
    bytes: float
    dtype: str
    op_name: str


@dataclass
class HloModule:
    """The computations of an optimised module, by name."""

    computations: dict[str, Computation] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> HloModule:
        """Read what ``compiled.as_text()`` gives."""
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

    def costs(self) -> dict[str, Cost]:
        """The cost of every instruction that may run by itself, by name."""
        inner = {
            one.called
            for computation in self.computations.values()
            for one in computation.values()
            if one.opcode == "fusion"
        }
        return {
            one.name: self._cost(one, computation)
            for name, computation in self.computations.items()
            if name not in inner
            for one in computation.values()
            if one.opcode not in FREE or one.opcode in ("while", "conditional")
        }

    def _cost(self, one: Instruction, around: Computation) -> Cost:
        if one.opcode in ("while", "conditional"):
            return Cost(Kind.LOOP, 0.0, 0.0, "", one.op_name)
        body = list(self._leaves(one, around))
        opcodes = {leaf.opcode for leaf, _ in body}
        flops = sum(_flops(leaf, inside) for leaf, inside in body)
        dots = [(leaf, inside) for leaf, inside in body if leaf.opcode == "dot"]
        dtype = ""
        if dots:
            heaviest, inside = max(dots, key=lambda pair: _flops(*pair))
            first = inside.get(heaviest.operands[0])
            dtype = first.arrays[0].dtype if first else heaviest.arrays[0].dtype
        return Cost(_kind(opcodes), flops, self._bytes(one, around), dtype, one.op_name)

    def _leaves(
        self, one: Instruction, around: Computation
    ) -> Iterator[tuple[Instruction, Computation]]:
        """The instructions that do the work, with the computation that each stands in."""
        inside = self.computations.get(one.called or "")
        if one.opcode in ("fusion", "call") and inside is not None:
            for leaf in inside.values():
                yield from self._leaves(leaf, inside)
        elif one.opcode not in FREE:
            yield one, around

    def _bytes(self, one: Instruction, around: Computation) -> float:
        inside = self.computations.get(one.called or "")
        if one.opcode not in ("fusion", "call") or inside is None:
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
    # A tuple's type holds brackets, spaces and comments; an array's ends at the first space.
    end = _closing(rest) + 1 if rest.startswith("(") else rest.find(" ")
    kind, behind = rest[:end], rest[end:].lstrip()
    opcode, _, tail = behind.partition("(")
    arguments = tail[: _closing("(" + tail) - 1]
    attributes = tail[len(arguments) :]
    called, contracted = _CALLED.search(attributes), _CONTRACTED.search(attributes)
    op_name = _OP_NAME.search(attributes)
    return Instruction(
        name=named[1],
        opcode=opcode,
        arrays=tuple(
            Array(dtype, tuple(int(d) for d in dimensions.split(",") if d))
            for dtype, dimensions in _ARRAY.findall(kind)
        ),
        operands=tuple(_OPERAND.findall(arguments)),
        called=called[1] if called else None,
        contracted=tuple(int(d) for d in contracted[1].split(",") if d) if contracted else (),
        op_name=op_name[1] if op_name else "",
        root=line.lstrip().startswith("ROOT "),
    )


def _closing(text: str) -> int:
    """Where the bracket that ``text`` begins with is closed."""
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
    """Who reads a value, views of it looked through."""
    users: list[Instruction] = []
    for each in inside.values():
        if one.name in each.operands:
            users += _users(each, inside) if each.opcode == "bitcast" else [each]
    return users


def _parameter_bytes(parameter: Instruction, inside: Computation) -> float:
    """What a fusion reads of one operand."""
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
    """What a fusion writes: its result, or the part that it updates in place."""
    parts = [inside[name] for name in root.operands if name in inside]
    if root.opcode == "tuple":
        return sum(_written_bytes(part, inside) for part in parts)
    if root.opcode == "bitcast" and parts:
        return _written_bytes(parts[0], inside)
    if root.opcode == "dynamic-update-slice" and len(parts) > 1:
        return float(parts[1].bytes)
    return float(root.bytes)
