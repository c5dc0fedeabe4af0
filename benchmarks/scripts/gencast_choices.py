"""Compare a GenCast denoiser call in perfkit's own layout with variants that undo one choice each.

All variants are compiled in this process and run in turns, so that the machine's drift cancels:

    python -m benchmarks.scripts.gencast_choices                          # 1 degree, full size
    python -m benchmarks.scripts.gencast_choices --resolution 2 --mesh 3  # a quarter of it
    python -m benchmarks.scripts.gencast_choices --only perfkit           # its peak memory alone

Prints one row per variant: median seconds, the ratio to perfkit's own layout with its exact
interval (above 1: the choice pays), CPU seconds, GFLOP and GB as XLA counts them (it counts the
body of a loop once), temporary memory, and the largest difference of the outputs.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.scripts.gencast_published_flow import published_arrays, published_denoiser
from perfkit.kernels.build.availability import why_no_kernels
from perfkit.models.gencast.computation import automatic_attention
from perfkit.models.gencast.inputs.checkpoint import Checkpoint
from perfkit.models.gencast.inputs.synthetic_weights import architecture_for, synthetic_checkpoint
from perfkit.models.gencast.network.constants import Execution, build_constants, network_settings
from perfkit.models.gencast.network.denoiser import denoise
from perfkit.models.gencast.network.denoiser_network import embed_context
from perfkit.models.gencast.sphere.geometry import Geometry, build_geometry
from perfkit.models.gencast.sphere.grid import regular_grid
from perfkit.models.native_kernels import load_native_kernels
from perfkit.stats.exact import paired_ratio
from perfkit.units import bytes_text, ratio_text

OWN = "perfkit"
PUBLISHED = "published data flow"
PUBLISHED_BFLOAT16 = "published, bfloat16"
BAKED = "parameters as constants"
NATIVE = "native kernels"
NOISE_LEVEL = 2.0


@dataclass(frozen=True)
class Inputs:
    """Inputs that all variants share."""

    checkpoint: Checkpoint
    geometry: Geometry
    context: np.ndarray
    noisy: np.ndarray
    levels: np.ndarray


def executions(own: Execution) -> dict[str, Execution]:
    """perfkit's own layout, and variants that change one choice each."""
    return {
        OWN: own,
        "attention dense": replace(own, attention="dense"),
        "attention banded": replace(own, attention="banded"),
        "blocks of 512": replace(own, grid_block=512),
        "blocks of 1024": replace(own, grid_block=1024),
        "blocks of 4096": replace(own, grid_block=4096),
        "whole grid at once": replace(own, grid_block=None),
        "edges in full": replace(own, compress_edges=False),
        "bfloat16 network": replace(own, dtype=np.dtype(jnp.bfloat16)),
    }


def native_executions(own: Execution) -> dict[str, Execution]:
    """perfkit's own layout with native kernels, in float32, and in bfloat16 by size of block."""
    # The kernels serve attention in patches only.
    native = replace(own, attention="patches", native_kernels=True)
    small = replace(native, dtype=np.dtype(jnp.bfloat16))
    blocks = {str(nodes): nodes for nodes in (512, 1024, 2048, 4096)} | {"all nodes": None}
    return {NATIVE: native} | {
        f"{NATIVE}, bfloat16, blocks of {name}": replace(small, grid_block=nodes)
        for name, nodes in blocks.items()
    }


def own_call(
    given: Inputs, execution: Execution, bake: bool = False
) -> tuple[Callable[..., jax.Array], tuple[Any, ...]]:
    """The function of a call and its arguments, with the context embedded in advance."""
    settings = network_settings(given.checkpoint, execution)
    constants = build_constants(given.checkpoint, given.geometry, execution)
    context = given.context.astype(execution.dtype)
    embedded = jax.jit(lambda c, x: embed_context(c, settings, x))(constants, context)

    def call(constants: Any, embedded: Any, noisy: Any, levels: Any) -> jax.Array:
        return denoise(constants, settings, embedded, noisy, levels)

    if bake:
        return partial(call, constants), (embedded, given.noisy, given.levels)
    return call, (constants, embedded, given.noisy, given.levels)


def published_call(
    given: Inputs, dtype: np.dtype[Any]
) -> tuple[Callable[..., jax.Array], tuple[Any, ...]]:
    """The published data flow and its arguments."""
    execution = Execution(attention="dense", compress_edges=False, dtype=dtype)
    settings = network_settings(given.checkpoint, execution)
    constants = build_constants(given.checkpoint, given.geometry, execution)
    arrays = published_arrays(given.checkpoint, given.geometry, constants, dtype)
    arrays = jax.tree.map(jnp.asarray, arrays)
    context = given.context.astype(dtype)
    return partial(published_denoiser, settings), (arrays, context, given.noisy, given.levels)


class Variant:
    """A compiled call with its arguments and its measured times."""

    def __init__(self, call: Callable[..., jax.Array], arguments: tuple[Any, ...]) -> None:
        self._arguments = jax.tree.map(jnp.asarray, arguments)
        self.compiled = jax.jit(call).lower(*self._arguments).compile()
        self.output = np.asarray(self.compiled(*self._arguments), np.float32)
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def run(self) -> None:
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        jax.block_until_ready(self.compiled(*self._arguments))
        self.seconds.append(time.perf_counter() - begin_s)
        self.cpu_seconds.append(time.process_time() - begin_cpu_s)

    def row(self, name: str, own: Variant) -> str:
        cost, memory = self.compiled.cost_analysis() or {}, self.compiled.memory_analysis()
        assert memory is not None
        ratio = ratio_text(paired_ratio(self.seconds, own.seconds))
        difference = float(np.abs(self.output - own.output).max())
        return (
            f"{name:44s} {statistics.median(self.seconds):7.2f} {ratio:>20s} "
            f"{statistics.median(self.cpu_seconds):7.2f} "
            f"{cost['flops'] / 1e9:7.0f} {cost['bytes accessed'] / 1e9:7.1f} "
            f"{bytes_text(memory.temp_size_in_bytes):>9s} {difference:10.1e}"
        )


def prepared(resolution: float, mesh: int) -> Inputs:
    """Synthetic weights of full width and random fields on a grid."""
    checkpoint = synthetic_checkpoint(architecture_for(mesh))
    geometry = build_geometry(*regular_grid(resolution), mesh, 0.6)
    settings = network_settings(checkpoint, Execution())
    random = np.random.default_rng(0)
    shape = (geometry.grid_nodes, 1)
    context = random.standard_normal((*shape, len(settings.context_rows)), np.float32)
    noisy = random.standard_normal((*shape, len(settings.target_rows)), np.float32)
    noisy *= np.float32(np.sqrt(1 + NOISE_LEVEL**2))
    return Inputs(checkpoint, geometry, context, noisy, np.array([NOISE_LEVEL], np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=float, default=1.0, help="degrees (default 1)")
    parser.add_argument("--mesh", type=int, default=4, help="refinements (default 4)")
    parser.add_argument("--rounds", type=int, default=3, help="timed calls of each (default 3)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these variants alone")
    options = parser.parse_args()
    given = prepared(options.resolution, options.mesh)
    own = Execution(attention=automatic_attention(given.checkpoint), grid_block=2048)
    makers: dict[str, Callable[[], tuple[Callable[..., jax.Array], tuple[Any, ...]]]] = {
        name: partial(own_call, given, execution) for name, execution in executions(own).items()
    }
    if why_no_kernels() is None:
        makers |= {
            name: partial(own_call, given, execution)
            for name, execution in native_executions(own).items()
        }
    makers[BAKED] = partial(own_call, given, own, True)
    makers[PUBLISHED] = partial(published_call, given, np.dtype(np.float32))
    makers[PUBLISHED_BFLOAT16] = partial(published_call, given, np.dtype(jnp.bfloat16))
    chosen = options.only or list(makers)
    unknown = set(chosen) - set(makers)
    if unknown:
        parser.error(f"unknown variant {', '.join(unknown)}; choose from {', '.join(makers)}")
    if any(name.startswith(NATIVE) for name in chosen):
        load_native_kernels(why_no_kernels())
    variants = {name: Variant(*makers[name]()) for name in chosen}
    for _ in range(options.rounds):
        for variant in variants.values():
            variant.run()
    print(
        f"{'variant':44s} {'seconds':>7s} {'times ours':>20s} {'CPU s':>7s} {'GFLOP':>7s} "
        f"{'GB':>7s} {'temporary':>9s} {'difference':>10s}"
    )
    first = variants.get(OWN, next(iter(variants.values())))
    for name, variant in variants.items():
        print(variant.row(name, first), flush=True)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"peak resident set of this process: {bytes_text(peak_bytes)}")


if __name__ == "__main__":
    main()
