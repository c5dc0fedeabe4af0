"""An unmodified program runs guarded, however it uses ``jax.jit``, and leaves a report."""

from __future__ import annotations

import copy
import functools
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from jax.experimental import serialize_executable

from perfkit.foreign.guard_report import guard_report
from perfkit.foreign.hook import foreign_environment
from perfkit.foreign.journal import Journal
from perfkit.foreign.plan import MODE_LIFT, ForeignPlan
from perfkit.foreign.reading import read_journals
from perfkit.guard.counts import GuardReport
from perfkit.guard.injection.guarded_export import make_guarded_export, make_guarded_serialize
from perfkit.guard.injection.guarded_jit import make_guarded_jit, make_guarded_pmap
from perfkit.guard.injection.ledger import Ledger
from perfkit.guard.transform import Traced

NEAR = jnp.asarray([1.0, 1.0000001])
ONES = jnp.ones(2)


def root(a: Array, b: Array) -> Array:
    return jnp.sqrt(a - b)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def jit(ledger: Ledger) -> Callable[..., Any]:
    return make_guarded_jit(jax.jit, ledger, False)


def lifted(ledger: Ledger) -> int:
    return sum(row.lifted for row in ledger.rows())


def unguarded_functions(ledger: Ledger) -> dict[str, str]:
    found = ledger.as_dict()["unguarded_functions"]
    assert isinstance(found, dict)
    return found


def test_a_call_returns_the_guarded_result_and_is_counted(jit: Any, ledger: Ledger) -> None:
    function = jit(root)
    assert function.__name__ == "root"
    for _ in range(3):
        np.testing.assert_array_equal(function(ONES, NEAR), [0, 0])
    assert lifted(ledger) == 3


def test_static_and_donated_arguments_work(jit: Any, ledger: Ledger) -> None:
    @functools.partial(jit, static_argnames=("kind",), donate_argnums=(0,))
    def run(a: Array, b: Array, kind: str) -> dict[str, Array]:
        return {kind: root(a, b)}

    result = run(jnp.ones(2), NEAR, kind="x")
    np.testing.assert_array_equal(result["x"], [0, 0])

    def doubled(a: Array, times: int) -> Array:
        for _ in range(times):
            a = a * 2
        return a

    assert jit(static_argnums=1)(doubled)(jnp.float32(1), 3) == 8
    assert lifted(ledger) == 1


def test_ahead_of_time_compilation_hides_the_report(jit: Any, ledger: Ledger) -> None:
    lowered = jit(root).lower(ONES, NEAR)
    assert lowered.out_info.shape == (2,)
    compiled = lowered.compile()
    np.testing.assert_array_equal(compiled(ONES, NEAR), [0, 0])
    assert compiled.cost_analysis() is not None
    traced = jit(root).trace(ONES, NEAR).lower().compile()
    np.testing.assert_array_equal(traced(ONES, NEAR), [0, 0])
    assert lifted(ledger) == 2


def test_methods_and_nested_functions_are_counted_once(jit: Any, ledger: Ledger) -> None:
    class Model:
        @functools.partial(jit, static_argnums=0)
        def outer(self, a: Array, b: Array) -> Any:
            return inner(a, b) + 1

    inner = jit(root)
    np.testing.assert_array_equal(Model().outer(ONES, NEAR), [1, 1])
    assert lifted(ledger) == 1


def test_outer_transformations_of_a_guarded_function_are_guarded(jit: Any, ledger: Ledger) -> None:
    np.testing.assert_array_equal(jax.vmap(jit(root))(ONES, NEAR), [0, 0])
    gradient = jax.grad(lambda a: jit(root)(a, jnp.float32(0.75)))(jnp.float32(1))
    assert gradient == pytest.approx(1.0)
    assert lifted(ledger) == 0


def test_a_program_that_prints_is_guarded(
    jit: Any, ledger: Ledger, capfd: pytest.CaptureFixture[str]
) -> None:
    def program(a: Array, b: Array) -> Array:
        jax.debug.print("a is {}", a)
        return root(a, b)

    np.testing.assert_array_equal(jit(program)(ONES, NEAR), [0, 0])
    jax.effects_barrier()
    assert "a is [1. 1.]" in capfd.readouterr().out
    assert lifted(ledger) == 1


def test_an_exported_function_is_guarded_and_reported_as_uncounted(
    jit: Any, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.begin(Journal(tmp_path))
    exported = make_guarded_export(jax.export.export)(jit(root))(ONES, NEAR)
    np.testing.assert_array_equal(exported.call(ONES, NEAR), [0, 0])
    assert len(jax.tree_util.tree_leaves(exported.call(ONES, NEAR))) == 1
    (report,) = read_journals(tmp_path)
    assert report.uncounted == ("root was exported: it is guarded there, but not counted",)


def test_a_serialized_function_is_guarded(jit: Any) -> None:
    compiled = jit(root).lower(ONES, NEAR).compile()
    assert isinstance(compiled, jax.stages.Compiled)
    loaded = serialize_executable.deserialize_and_load(
        *make_guarded_serialize(serialize_executable.serialize)(compiled)
    )
    np.testing.assert_array_equal(loaded(ONES, NEAR), [0, 0])


def test_a_guarded_function_is_pickled_and_copied_by_name(
    jit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = jit(root)
    assert copy.deepcopy(function) is function
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(function)
    monkeypatch.setattr(sys.modules[__name__], "root", function)
    assert pickle.loads(pickle.dumps(function)) is function


def test_the_cache_of_a_guarded_function_can_be_cleared(jit: Any, ledger: Ledger) -> None:
    traced: list[int] = []

    def count(a: Array) -> Array:
        traced.append(1)
        return jnp.sqrt(a - 0.5)

    function = jit(count)
    for _ in range(2):
        function(ONES)
    function.clear_cache()
    function(ONES)
    assert len(traced) == 2


def test_pmap_is_guarded_and_counted(ledger: Ledger) -> None:
    pmap = make_guarded_pmap(jax.pmap, ledger, False)
    scaled = pmap(lambda a, b: root(a, b) + jax.lax.psum(0 * a, "i"), "i", in_axes=(0, None))
    np.testing.assert_array_equal(scaled(ONES[None], NEAR), [[0, 0]])
    assert lifted(ledger) == 1


def test_an_equation_that_the_guard_cannot_enter_is_reported(jit: Any, ledger: Ledger) -> None:
    mesh = jax.make_mesh((1,), ("i",))
    partition_spec: Any = jax.sharding.PartitionSpec
    whole = partition_spec()
    shard_map: Any = jax.shard_map
    inside = shard_map(lambda a: jnp.sqrt(a - 2), mesh=mesh, in_specs=whole, out_specs=whole)
    assert np.isnan(jit(lambda a: inside(a))(ONES)).all()
    jit(lambda a: jax.lax.while_loop(lambda x: jnp.sqrt(x) < 2, lambda x: x + 1, a))(1.0)
    names = list(unguarded_functions(ledger))
    assert [name.split(" at ")[0] for name in names] == ["shard_map", "while"]
    assert all("test_guarded_jit.py:" in name for name in names)


def test_a_function_that_cannot_be_guarded_runs_unguarded_and_is_reported(
    ledger: Ledger,
) -> None:
    def refuse(traced: Traced, zero_rounding: bool) -> tuple[object, GuardReport]:
        raise NotImplementedError("no rule")

    function = make_guarded_jit(jax.jit, ledger, False, refuse)(root)
    for _ in range(2):
        assert np.isnan(function(ONES, NEAR)[1])
    assert unguarded_functions(ledger) == {"root": "GuardFailureError: no rule"}


def test_an_error_of_the_program_is_raised_unchanged(jit: Any) -> None:
    def broken(a: Array) -> Array:
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        jit(broken)(ONES)


PROGRAM = """
import sys
import functools
from jax import jit
import jax, jax.numpy as jnp
from jax.experimental.pjit import pjit

@functools.partial(jit, static_argnums=2)
def step(a, b, scale):
    return jnp.sqrt(a - b) * scale

near = jnp.asarray([1.0, 1.0000001])
print(step(jnp.ones(2), near, 2).tolist(), pjit(lambda a: jnp.sqrt(a - near))(jnp.ones(2)).tolist())
print(jax.__spec__.loader.__class__.__name__, "theirs" in sys.modules)
"""


def run_program(
    folder: Path, environment: dict[str, str], words: Sequence[str] = ("program.py",)
) -> list[str]:
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("words", [("program.py",), ("-m", "program")])
def test_an_unmodified_program_is_guarded_and_leaves_a_report(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import theirs\n", encoding="utf-8")
    (other / "theirs.py").touch()
    before = {**os.environ, "PYTHONPATH": str(other), "JAX_PLATFORMS": "cpu"}
    assert run_program(tmp_path, before)[0] == "[0.0, nan] [0.0, nan]"
    environment = foreign_environment(before, ForeignPlan(str(tmp_path), MODE_LIFT))
    output = run_program(tmp_path, environment, words)
    assert output == ["[0.0, 0.0] [0.0, 0.0]", "SourceFileLoader True"]
    report = guard_report(read_journals(tmp_path))
    assert (report["processes"], report["lifted"]) == (1, 2)
    assert {site["function"] for site in report["sites"]} == {"step", "<lambda>"}


def test_a_program_without_jax_leaves_no_report(tmp_path: Path) -> None:
    environment = foreign_environment(os.environ, ForeignPlan(str(tmp_path), MODE_LIFT))
    code = "import sys; print('jax' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False False"
    assert guard_report(read_journals(tmp_path))["processes"] == 0
