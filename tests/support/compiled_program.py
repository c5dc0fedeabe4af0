"""Compile a small program with flags or options, and describe what comes out.

As a program it reads a list of :class:`Attempt` as JSON, and writes a :class:`Described` for each.
XLA reads its flags once per process, so each attempt runs in a process of its own: a fork, as the
import of JAX takes most of the time.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from perfkit.knobs.knob import CompilerOption


@dataclass(frozen=True)
class Attempt:
    """How to compile.

    Attributes
    ----------
    flags
        Value of ``XLA_FLAGS``.
    options
        Value of ``compiler_options``.
    """

    flags: str
    options: dict[str, CompilerOption]


@dataclass(frozen=True)
class Described:
    """Digests of a compiled program.

    Attributes
    ----------
    hlo
        Text of the optimised HLO.
    code
        Machine code of all kernels, and the steps that run them.
    executable
        Everything that XLA keeps of the program: the above, memory, target machine, settings.
    answer
        Its results.
    """

    hlo: str
    code: str
    executable: str
    answer: str


def describe(attempts: Sequence[Attempt]) -> list[Described]:
    """Compile the program once for each attempt, in a new process."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).resolve())],
        input=json.dumps([asdict(attempt) for attempt in attempts]),
        env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
        | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [Described(*line) for line in json.loads(ran.stdout)]


def _compiled(options: dict[str, CompilerOption]) -> Described:
    import jax
    import jax.numpy as jnp
    import numpy as np

    def function(a: Any, b: Any, h: Any) -> Any:
        """Products, reductions and element-wise operations, in float32 and in bfloat16."""
        mixed = jnp.tanh(a @ b) + a
        weights = jax.nn.softmax(mixed @ b.T, axis=-1)
        scaled = jnp.exp(-weights) * mixed.sum(0)
        lengths = jnp.linalg.norm(scaled, axis=1)
        half = (h @ h + h * h.T).astype(jnp.float32)
        waves = (jnp.sin(h) * h + jnp.cos(h)).sum(1).astype(jnp.float32)
        return scaled, jnp.cumsum(lengths), half, waves

    draw = np.random.default_rng(0).standard_normal
    a, b = (draw((256, 256)).astype(np.float32) for _ in range(2))
    h = draw((128, 128)).astype(jnp.bfloat16)
    jax.config.update("jax_enable_compilation_cache", False)
    compiled = jax.jit(function).lower(a, b, h).compile(compiler_options=options or None)
    executable: Any = compiled.runtime_executable()
    parts = _parts(executable.serialize())
    answer = b"".join(np.asarray(result).tobytes() for result in compiled(a, b, h))
    return Described(
        hlo=_digest([str(compiled.as_text()).encode()]),
        code=_digest(part for number, part in parts if number in (_STEPS, _OBJECTS)),
        executable=_digest(part for _, part in parts),
        answer=_digest([answer]),
    )


_RESULT, _STEPS, _OBJECTS = 1, 6, 8
"""Fields of XLA's messages: ``CompilationResultProto`` in ``ExecutableAndOptionsProto``; its
sequence of thunks, and its object files."""


def _parts(serialised: bytes) -> list[tuple[int, bytes]]:
    """Number and content of the fields of ``CompilationResultProto``.

    They are sorted, as kernels are compiled by several threads and stored as they get ready.
    """
    # JAX's own metadata come first, behind their length.
    length, begin = _number(serialised, 0)
    both = dict(_fields(serialised[begin + length :]))
    return sorted(_fields(both[_RESULT]))


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Number and content of each field of a Protocol Buffers message (its wire format)."""
    found, at = [], 0
    while at < len(message):
        key, at = _number(message, at)
        kind, begin = key & 7, at
        if kind == 0:
            _, at = _number(message, at)
        elif kind == 2:
            size, begin = _number(message, at)
            at = begin + size
        else:
            at += {1: 8, 5: 4}[kind]
        found.append((key >> 3, message[begin:at]))
    return found


def _number(message: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and the position behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _in_fork(act: Callable[[], Described]) -> Described:
    """The result of a function that runs in a fork of this process."""
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        try:
            os.write(write_end, json.dumps(list(asdict(act()).values())).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        text = stream.read()
    os.wait()
    return Described(*json.loads(text))


def main() -> None:
    """Describe the program for each attempt of standard input."""
    import jax  # noqa: F401

    described = []
    for given in json.load(sys.stdin):
        os.environ["XLA_FLAGS"] = given["flags"]
        described.append(_in_fork(partial(_compiled, given["options"])))
    print(json.dumps([list(asdict(each).values()) for each in described]))


if __name__ == "__main__":
    main()
