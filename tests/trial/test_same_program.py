"""A flag of the process and the same flag as an option of the compilation give one program."""

from __future__ import annotations

import pytest

from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.knob import Layer
from perfkit.knobs.xla_flags import KNOWN_FLAGS
from tests.support.compiled_program import Attempt, Described, describe

pytest.importorskip("jax", reason="the programs are compiled")

CHANGING = (
    ("xla_cpu_prefer_vector_width", "128"),
    ("xla_cpu_use_onednn", "true"),
    ("xla_cpu_experimental_ynn_fusion_type", "invalid"),
    ("xla_cpu_experimental_ynn_fusion_type", "dot,eltwise,reduce"),
    ("xla_backend_optimization_level", "0"),
    ("xla_cpu_opt_preset", "CPU_OPT_PRESET_FAST_COMPILE"),
    ("xla_cpu_scheduler_type", "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"),
    ("xla_allow_excess_precision", "false"),
    ("xla_cpu_enable_fast_math", "true"),
)
"""Each flag that is an option of the compilation, with values that change the program."""


@pytest.fixture(scope="module")
def programs() -> dict[tuple[str, str] | None, tuple[Described, Described]]:
    """By flag and value, or None for stock: the program by the flag, and by the option."""
    attempts = [Attempt("", {}), Attempt("", {})]
    for name, value in CHANGING:
        configuration = Catalogue().configuration({name: value})
        assert configuration.process_environment() == {}
        attempts.append(Attempt(configuration.environment()["XLA_FLAGS"], {}))
        attempts.append(Attempt("", configuration.compiler_options()))
    described = describe(attempts)
    pairs = zip(described[::2], described[1::2], strict=True)
    return dict(zip((None, *CHANGING), pairs, strict=True))


@pytest.mark.parametrize("setting", CHANGING, ids="=".join)
def test_flag_and_option_give_the_same_program(
    setting: tuple[str, str],
    programs: dict[tuple[str, str] | None, tuple[Described, Described]],
) -> None:
    by_flag, by_option = programs[setting]
    assert by_flag == by_option
    stock, again = programs[None]
    assert stock == again
    assert (by_flag.hlo, by_flag.code) != (stock.hlo, stock.code)


def test_every_flag_of_a_compilation_is_shown_to_be_one() -> None:
    assert {name for name, _ in CHANGING} == {
        knob.name for knob in KNOWN_FLAGS if knob.per_compilation
    }


def test_an_instruction_set_is_accepted_as_an_option_and_ignored() -> None:
    # Every x86 CPU that JAX runs on has more than SSE4.2.
    stock, by_flag, by_option = describe(
        [
            Attempt("", {}),
            Attempt("--xla_cpu_max_isa=SSE4_2", {}),
            Attempt("", {"xla_cpu_max_isa": "SSE4_2"}),
        ]
    )
    assert by_flag.code != stock.code
    assert by_option.code == stock.code


def test_settings_are_divided_between_process_and_compilation() -> None:
    configuration = Catalogue().configuration(
        {
            "xla_cpu_max_isa": "AVX2",
            "xla_cpu_use_onednn": "true",
            "xla_cpu_prefer_vector_width": "512",
            "cpus": "1",
        }
    )
    assert configuration.of_layer(Layer.XLA).keys() == {
        "xla_cpu_max_isa",
        "xla_cpu_use_onednn",
        "xla_cpu_prefer_vector_width",
    }
    assert configuration.process_environment() == {
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "PJRT_NPROC": "1",
    }
    assert configuration.compiler_options() == {
        "xla_cpu_use_onednn": True,
        "xla_cpu_prefer_vector_width": 512,
    }


def test_fusion_types_with_signs_stay_with_the_process() -> None:
    configuration = Catalogue().configuration(
        {"xla_cpu_experimental_ynn_fusion_type": "+eltwise,-dot"}
    )
    assert configuration.compiler_options() == {}
    assert configuration.process_environment() == configuration.environment()
