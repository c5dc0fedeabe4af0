"""A planted fault of a compiler is found, whatever is around it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from perfkit.models.prepared import Prepared
from perfkit.upgrade.locate.bench import Bench, RunnerProcess
from perfkit.upgrade.locate.finding import Located
from perfkit.upgrade.locate.locate import locate_in_prediction
from perfkit.upgrade.locate.reproduce import check
from perfkit.upgrade.locate.request import LocateRequest
from tests.upgrade.planted_side import Arrays, PlantedSide

LABELS = ("jaxlib 1", "jaxlib 2")
X = np.linspace(0.5, 1.5, 12).astype(np.float32).reshape(4, 3)


class Modules:
    """A model of which only the modules are asked."""

    def module_of(self, op_name: str) -> str | None:
        return next((name for name in ("lengths", "waves") if f"{name}/" in op_name), None)


def locate(
    function: Any, folder: Path, new: PlantedSide, *, slowed: tuple[str, ...] = ()
) -> Located:
    """Search a function of :data:`X` for differences between this jaxlib and a planted one."""
    prepared = Prepared(
        function, (X,), lambda compiled: compiled(X), {}, lambda outputs: outputs, lambda *_: []
    )
    scratch = folder / "scratch"
    scratch.mkdir()
    request = LocateRequest(
        {}, {}, (), Path(), Path(), LABELS, not slowed, slowed, scratch, folder / "reproducers"
    )
    model: Any = Modules()
    with Bench(PlantedSide(), new, scratch) as bench:
        return locate_in_prediction(model, prepared, request, bench)


def squared_lengths(x: Any) -> Any:
    with jax.named_scope("lengths"):
        return jnp.sum((x @ jnp.ones((3, 3), x.dtype)) ** 2, axis=1)


def wrong_fusion(text: str, inputs: Arrays) -> bool:
    """The fault shows only where a product and a reduction are compiled together."""
    return "dot_general" in text and "stablehlo.reduce" in text


def primitives(located: Located) -> list[str]:
    assert located.answer is not None
    return [sentence.split("(")[0] for sentence in located.answer.operations]


def reproduced(folder: str) -> subprocess.CompletedProcess[str]:
    """Run a reproducer away from perfkit; its program is computed rightly by this jaxlib."""
    return subprocess.run(
        [sys.executable, "reproduce.py"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_operations_of_a_wrong_fusion_are_found(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        warm = jnp.exp(x) + 1
        return jnp.sqrt(squared_lengths(warm)) * 2, warm @ warm.T

    located = locate(function, tmp_path, PlantedSide(wrong_fusion))
    assert located.answer is not None
    assert primitives(located) == ["dot_general", "integer_pow", "reduce_sum"]
    assert located.answer.module == "lengths"
    assert "jaxlib 2 is wrong" in located.answer.verdict
    # The element is spoiled by 1 plus its own size, and is the largest of four.
    assert located.answer.distance is not None
    assert located.answer.distance > 1
    (folder,) = located.reproducers
    done = reproduced(folder)
    assert done.returncode == 0, done.stderr
    assert "right" in done.stdout
    case = json.loads((Path(folder) / "case.json").read_text())
    expected = np.load(Path(folder) / case["outputs"][0]["expected"])
    assert check(case, [expected.astype(np.float32)], Path(folder))
    assert not check(case, [expected * 1.001], Path(folder))


def test_the_iteration_of_a_loop_is_found(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        def step(count: Any, row: Any) -> Any:
            return count + 1, jnp.sin(squared_lengths(row[None] + count))

        return jax.lax.scan(step, jnp.float32(0), jnp.tile(x, (2, 1)))[1]

    def wrong_from_the_sixth(text: str, inputs: Arrays) -> bool:
        # A whole loop is wrong, and its body once the count is 5.
        loop = "stablehlo.while" in text
        counted = any(each.ndim == 0 and float(each) >= 5 for each in inputs)
        grown = any(each.shape == (1, 3) and float(each.max()) > 5.6 for each in inputs)
        return wrong_fusion(text, inputs) and (loop or counted or grown)

    located = locate(function, tmp_path, PlantedSide(wrong_from_the_sixth))
    assert located.answer is not None
    assert [number for _, number in located.answer.iterations] == [5]
    assert located.answer.iterations[0][0].endswith("while/body")
    assert primitives(located) == ["dot_general", "integer_pow", "reduce_sum"]


def test_a_crash_is_an_answer() -> None:
    crashing = RunnerProcess(Path("/bin/false"))
    crashing.send({})
    assert crashing.take().error == "the process ended with code 1"
    crashing.close()


def test_a_hang_is_an_answer(tmp_path: Path) -> None:
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    hanging = RunnerProcess(sleeper, time_limit_s=0.1)
    hanging.send({})
    assert hanging.take().error.startswith("no answer in 0.1 s")


def test_differences_of_rounding_are_not_reported(tmp_path: Path) -> None:
    located = locate(squared_lengths, tmp_path, PlantedSide())
    assert located.answer is None
    assert "no operations" in located.notes[0]


def test_the_slowed_operation_of_a_module_is_found(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        with jax.named_scope("waves"):
            waves = jnp.cos(jnp.tanh(jnp.exp(x)) + 1)
        return squared_lengths(waves)

    def slow_tanh(text: str) -> float:
        return 1.0 + 2.0 * text.count("stablehlo.tanh")

    located = locate(function, tmp_path, PlantedSide(run_s=slow_tanh), slowed=("waves",))
    (slowed,) = located.slowed
    assert [sentence.split("(")[0] for sentence in slowed.operations] == ["tanh"]
    assert (slowed.old_s, slowed.new_s) == (1.0, 3.0)
    assert located.reproducers == (str(tmp_path / "reproducers" / "time-waves"),)


def test_a_slowed_operation_inside_a_loop_is_found(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        def step(now: Any, _: Any) -> Any:
            with jax.named_scope("waves"):
                waves = jnp.tanh(now) + jnp.exp(now)
            return waves - 1, None

        return jax.lax.scan(step, x * 2, None, length=3)[0]

    def slow_tanh(text: str) -> float:
        return 1.0 + 2.0 * text.count("stablehlo.tanh")

    located = locate(function, tmp_path, PlantedSide(run_s=slow_tanh), slowed=("waves",))
    assert [sentence.split("(")[0] for sentence in located.slowed[0].operations] == ["tanh"]


def test_a_module_without_a_slower_part_is_reported_as_such(tmp_path: Path) -> None:
    located = locate(squared_lengths, tmp_path, PlantedSide(), slowed=("lengths",))
    assert located.reproducers == ()
    assert "no part of it is slower" in located.slowed[0].sentences()[0]
