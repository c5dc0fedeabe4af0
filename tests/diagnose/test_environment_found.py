"""The environment that the doctor finds, and what to do about what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.diagnose.environment_found import Fact, Sources, environment_facts
from perfkit.diagnose.models_found import ModelFound, models_found
from perfkit.records.findings import MachineRecord
from perfkit.records.restrictions import Restrictions

SENTENCE = "this process may run on 2 of 8 CPUs (cpuset or affinity)"


@pytest.fixture(scope="module")
def facts() -> dict[str, Fact]:
    sources = Sources(
        variables={
            "XLA_FLAGS": "--xla_a=1",
            "JAX_TOKEN": "secret",
            "OPENBLAS_CORETYPE": "HASWELL",
            "HOME": "/home/lab",
        },
        machine=MachineRecord(
            cpu="Test CPU",
            cpu_family="6",
            cpu_model="143",
            instruction_sets=["avx2", "fma"],
            governor="powersave",
            transparent_hugepages="never",
        ),
        limits=(Restrictions(allowed_cpus=2, machine_cpus=8, cgroup_cpus=1.5), [SENTENCE]),
        providers={"alphafold3": ["alphafold3", "alphafold3-colabfold"], "jax": ["jax"]},
        packages={"jax": "0.10.2", "alphafold3": "3.0.4", "alphafold3-colabfold": "3.1"},
        library=lambda name: Path("/lib/libtcmalloc.so") if name == "tcmalloc" else None,
        tracing=lambda: "the kernel forbids it (kernel.yama.ptrace_scope is 1; 0 allows it)",
        counting=lambda: "perf may not count events here (kernel.perf_event_paranoid is 4)",
    )
    return {fact.name: fact for fact in environment_facts(sources)}


def test_two_packages_with_one_import_name_are_found(facts: dict[str, Fact]) -> None:
    assert facts["packages"].value == "jax 0.10.2, alphafold3 3.0.4, alphafold3-colabfold 3.1"
    rivals = facts["package alphafold3"]
    assert rivals.value == "provided by alphafold3 and by alphafold3-colabfold"
    assert "uninstall both, and install one" in rivals.advice


def test_variables_that_change_a_computation_are_shown_without_secrets(
    facts: dict[str, Fact],
) -> None:
    without = "trials of perfkit run without it"
    assert facts["variable XLA_FLAGS"] == Fact("variable XLA_FLAGS", "--xla_a=1", without)
    assert facts["variable OPENBLAS_CORETYPE"].advice == ""
    assert facts["variable JAX_TOKEN"].value == "(not shown)"
    assert not any("HOME" in name for name in facts)


def test_a_missing_allocator_comes_with_the_command_that_installs_it(
    facts: dict[str, Fact],
) -> None:
    assert facts["allocator tcmalloc"] == Fact("allocator tcmalloc", "/lib/libtcmalloc.so")
    jemalloc = facts["allocator jemalloc, jemalloc-hugepages"]
    assert jemalloc.value == "not installed"
    assert jemalloc.advice == "install the Debian package libjemalloc2 (apt install libjemalloc2)"


def test_settings_of_the_kernel_that_cost_time_or_rights_are_named(facts: dict[str, Fact]) -> None:
    assert "transparent_hugepage/enabled" in facts["transparent huge pages"].advice
    assert "cpupower" in facts["CPU frequency governor"].advice
    assert facts["tracing (py-spy)"].advice == "as root: sysctl kernel.yama.ptrace_scope=0"
    assert facts["counting (perf)"].advice == "as root: sysctl kernel.perf_event_paranoid=1"


def test_cpus_and_limits_are_those_of_the_process(facts: dict[str, Fact]) -> None:
    assert facts["CPU"].value == "Test CPU (family 6, model 143)"
    assert facts["instruction sets"].value == "avx2 fma"
    assert facts["allowed CPUs"].value == "2 of 8 CPUs, the time of 1.5 (control group)"
    assert facts["limit"].value == SENTENCE


def test_a_model_that_cannot_be_imported_says_why() -> None:
    (found,) = models_found(["no_such_model"])
    assert found == ModelFound("no_such_model", found.refusal)
    assert "no_such_model" in found.refusal
    assert not found.starts
