"""The nearest preset is named, with what its gain is worth on another machine."""

from __future__ import annotations

import pytest

from perfkit.knobs.configuration import Catalogue
from perfkit.models.af3.model import AlphaFold3
from perfkit.presets.advice import Advice, advise, nearest_first
from perfkit.presets.known import KnownPreset, read_known_preset
from perfkit.presets.nearness import Here
from tests.presets.conftest import SETTINGS, WritePreset, make_here

CATALOGUE = Catalogue(AlphaFold3().knobs)


def _advise(preset: KnownPreset, here: Here, size: int = 76) -> Advice:
    return advise([preset], size, "tokens", CATALOGUE, here)


def test_on_the_measured_machine_the_gain_is_expected(write_preset: WritePreset) -> None:
    advice = _advise(read_known_preset(write_preset("preset.toml")), make_here())
    assert advice.fitted.configuration.as_dict() == SETTINGS
    assert advice.fitted.dropped == {}
    assert advice.gain == (
        "2.00 times as fast as stock (95 % interval 1.90 to 2.10), measured with 76 tokens, "
        "2 CPUs, AMD EPYC (family 25, model 17)."
    )
    assert advice.trust == (
        "Machine, size and packages are those of the measurement: expect about this gain.",
    )


@pytest.mark.parametrize(
    ("here", "size", "sentence"),
    [
        (
            make_here(instruction_sets=("avx2", "amx_bf16")),
            76,
            "This CPU lacks avx512_bf16, avx512f of the measured one; the gain may be small or "
            "none.",
        ),
        (
            make_here(instruction_sets=("avx2", "avx512f", "avx512_bf16", "amx_bf16")),
            76,
            "This CPU also has amx_bf16, so other values may be faster here.",
        ),
        (
            make_here(cpu="Intel Xeon", family="6", model="143"),
            76,
            "This CPU is of another family, Intel Xeon (family 6, model 143); the gain may differ.",
        ),
        (
            make_here(model="1"),
            76,
            "This CPU is another model of the same family, AMD EPYC (family 25, model 1).",
        ),
        (
            make_here(cpus=16),
            76,
            "This process may use 16 CPUs, the trials could use 2; the gain may differ.",
        ),
        (
            make_here(),
            300,
            "The size differs (300 tokens here, 76 measured); the gain may differ, above all where "
            "it comes from padding.",
        ),
        (
            make_here(versions={"jaxlib": "0.8.0"}),
            76,
            "jaxlib differs (0.8.0 here, 0.7.0 measured); the gain may differ.",
        ),
    ],
)
def test_each_difference_is_a_sentence(
    write_preset: WritePreset, here: Here, size: int, sentence: str
) -> None:
    trust = _advise(read_known_preset(write_preset("preset.toml")), here, size).trust
    assert sentence in trust
    assert trust[-1] == (
        "The preset was not measured here: it is a starting point; perfkit tune measures."
    )


def test_values_that_this_machine_cannot_use_are_dropped_and_named(
    write_preset: WritePreset,
) -> None:
    settings = {**SETTINGS, "allocator": "jemalloc"}
    preset = read_known_preset(write_preset("preset.toml", settings))
    advice = _advise(preset, make_here(instruction_sets=("avx2",)))
    assert advice.fitted.configuration.as_dict() == {"bucket": "exact"}
    assert (
        "Dropped: allocator=jemalloc; allocator 'jemalloc' is not installed on this machine; "
        "install the Debian package libjemalloc2 (apt install libjemalloc2)."
    ) in advice.trust
    assert (
        "Dropped: xla_cpu_prefer_vector_width=512; it makes no difference on this CPU without "
        "avx512f."
    ) in advice.trust


def test_a_preset_of_which_nothing_is_left_is_stock(write_preset: WritePreset) -> None:
    preset = read_known_preset(write_preset("preset.toml", {"allocator": "tcmalloc"}))
    advice = _advise(preset, make_here())
    assert advice.fitted.configuration.settings == ()
    assert advice.trust[-1] == "None of the preset's values can be used here: run perfkit tune."


def test_what_a_preset_does_not_state_is_not_called_a_difference(
    write_preset: WritePreset,
) -> None:
    trust = _advise(read_known_preset(write_preset("preset.toml", machine={})), make_here()).trust
    assert trust[:2] == (
        "The preset does not state the CPU that it was measured on.",
        "This process may use 2 CPUs, the trials could use an unknown number; the gain may differ.",
    )


def test_a_gain_without_an_interval_is_called_so(write_preset: WritePreset) -> None:
    preset = read_known_preset(write_preset("preset.toml"))
    bare = KnownPreset(
        preset.name,
        preset.shipped,
        preset.model,
        preset.settings,
        preset.measured.model_copy(update={"speedup_interval": None}),
        preset.table,
    )
    assert _advise(bare, make_here()).trust[0] == (
        "The gain has no interval: too few pairs of fresh processes were measured for one."
    )


def test_the_nearest_machine_comes_first_and_the_larger_gain_breaks_ties(
    write_preset: WritePreset,
) -> None:
    other = {"cpu": "Intel Xeon", "cpu_family": "6", "cpu_model": "143", "logical_cpus": 2}
    presets = [
        read_known_preset(path)
        for path in (
            write_preset("slower/preset.toml", speedup=1.5),
            write_preset("faster/preset.toml", speedup=3.0),
            write_preset("size/preset.toml", size=80),
            write_preset("machine/preset.toml", machine=other),
        )
    ]
    slower, faster, size, machine = presets
    assert nearest_first(presets, 80, make_here()) == [size, faster, slower, machine]
    assert nearest_first(presets, 76, make_here()) == [faster, slower, size, machine]


def test_a_preset_of_a_nearer_size_on_another_machine_is_mentioned(
    write_preset: WritePreset,
) -> None:
    other = {"cpu": "Intel Xeon", "cpu_family": "6", "cpu_model": "143", "logical_cpus": 2}
    near = read_known_preset(write_preset("near/preset.toml"))
    sized = read_known_preset(write_preset("sized/preset.toml", machine=other, size=256))
    advice = advise([near, sized], 300, "tokens", CATALOGUE, make_here())
    assert advice.preset == near
    assert advice.nearest_size == sized
    assert advice.trust[-2] == (
        f"Nearer in size, but not in machine: the preset {sized.name}, 2.00 times as fast as stock "
        "(95 % interval 1.90 to 2.10), measured with 256 tokens, 2 CPUs, Intel Xeon (family 6, "
        "model 143)."
    )
    assert advise([near, sized], 76, "tokens", CATALOGUE, make_here()).nearest_size is None
