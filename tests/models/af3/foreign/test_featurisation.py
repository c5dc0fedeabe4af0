"""What the settings do to features, with a stand-in of upstream's featurisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfkit.foreign.adapter import ForeignOptions
from perfkit.models.af3.foreign.featurisation import adapt_featurisation, bucket_sizes
from perfkit.models.af3.foreign.networks_in_use import NetworksInUse
from tests.support.settings_report import KeptReport

ALL = {"bucket": "exact", "msa_rows": "needed", "atom_slots": "needed", "templates": "needed"}
MSA_SIZE = 16


def features(
    bucket: int, *, tokens: int, atoms: int, rows: int, templates: int
) -> dict[str, np.ndarray]:
    """Make features with upstream's shapes: 24 slots for atoms per token, in subsets of 32."""
    subsets = -(-bucket * 24 // 32)
    made: dict[str, np.ndarray] = {
        "seq_mask": np.arange(bucket) < tokens,
        "pred_dense_atom_mask": (np.arange(bucket * 24) < atoms).reshape(bucket, 24),
        "msa": np.zeros((MSA_SIZE, bucket), np.int8),
        "msa_mask": np.repeat(np.arange(MSA_SIZE)[:, None] < rows, bucket, axis=1),
        "deletion_matrix": np.zeros((MSA_SIZE, bucket), np.int8),
        "template_aatype": np.repeat(np.arange(4)[:, None] < templates, bucket, axis=1),
        "template_atom_positions": np.zeros((4, bucket, 24, 3), np.float32),
        "template_atom_mask": np.zeros((4, bucket, 24), bool),
    }
    widths = {
        "token_atoms_to_queries": 32,
        "tokens_to_queries": 32,
        "tokens_to_keys": 128,
        "queries_to_keys": 128,
    }
    for name, width in widths.items():
        made[f"{name}:gather_idxs"] = np.zeros((subsets, width), np.int64)
        used = np.arange(subsets * width) < atoms
        made[f"{name}:gather_mask"] = used.reshape(subsets, width)
    return made


class Featurisation:
    """Stands for ``alphafold3.data.featurisation``.

    Parameters
    ----------
    tokens, atoms, rows, templates
        Tokens, atoms, MSA rows and templates of every input.
    without
        A feature that it lacks.
    """

    def __init__(
        self, *, tokens: int, atoms: int, rows: int = 3, templates: int = 0, without: str = ""
    ) -> None:
        module: Any = ModuleType("alphafold3.data.featurisation")
        self.calls: list[tuple[Sequence[int], bool]] = []

        def featurise_input(
            fold_input: Any, ccd: Any, buckets: Sequence[int], verbose: bool = False
        ) -> list[dict[str, np.ndarray]]:
            self.calls.append((buckets, verbose))
            bucket = next(size for size in buckets if size >= tokens)
            made = features(bucket, tokens=tokens, atoms=atoms, rows=rows, templates=templates)
            made.pop(without, None)
            return [made, dict(made)]

        module.featurise_input = featurise_input
        self.module = module

    def run(
        self,
        settings: Mapping[str, str],
        *,
        step: int | None = None,
        network: str = "alphafold3",
        network_is_adapted: bool = True,
    ) -> tuple[Mapping[str, Any], KeptReport]:
        """Featurise under settings; return the features of the first seed, and the report."""
        report, in_use = KeptReport(), NetworksInUse()
        configurations = ModuleType("alphafold3.model.model_config")
        configurations.GlobalConfig = type(  # type: ignore[attr-defined]  # a module made here
            "GlobalConfig", (), {"__init__": lambda self, model: setattr(self, "model", model)}
        )
        in_use.watch(configurations)
        held = configurations.GlobalConfig(network)
        in_use.adapted = {"msa_rows", "templates"} if network_is_adapted else set()
        adapt_featurisation(self.module, settings, ForeignOptions(step), report, in_use)
        batches = self.module.featurise_input(
            SimpleNamespace(name="job"), ccd=None, buckets=(256, 512), verbose=True
        )
        assert held.model == network
        assert batches[0].keys() == batches[1].keys()
        return batches[0], report


def test_each_input_gets_its_own_size() -> None:
    batch, report = Featurisation(tokens=100, atoms=800).run(ALL)
    assert len(batch["seq_mask"]) == 100
    assert batch["msa"].shape == (3, 100)
    # 800 atoms fill 25 subsets of 32.
    assert batch["queries_to_keys:gather_mask"].shape == (25, 128)
    assert batch["template_atom_mask"].shape == (1, 100, 24)
    assert report.effects == [
        ("bucket", "100 tokens"),
        ("msa_rows", "3 rows"),
        ("atom_slots", ""),
        ("templates", "1 of 4"),
    ]
    assert report.refusals == []
    assert report.inputs == [("job", 100)]


def test_a_step_limits_the_number_of_shapes() -> None:
    batch, _ = Featurisation(tokens=100, atoms=800).run(ALL, step=64)
    assert len(batch["seq_mask"]) == 128
    # The next power of two above 3.
    assert len(batch["msa"]) == 4
    # 128 tokens have 96 subsets; an eighth is 12, and 25 are used.
    assert len(batch["queries_to_keys:gather_mask"]) == 36


def test_a_tiny_input_keeps_the_empty_token_and_the_slots_that_its_answer_depends_on() -> None:
    featurisation = Featurisation(tokens=8, atoms=60)
    batch, report = featurisation.run(ALL)
    assert len(batch["seq_mask"]) == 9
    assert len(batch["queries_to_keys:gather_mask"]) == 7  # all: 9 * 24 / 32 = 6.75
    assert report.effects[0] == ("bucket", "9 tokens")
    # The program asked for messages, and gets them once.
    assert [verbose for _, verbose in featurisation.calls] == [True, False]


def test_a_number_that_does_not_fit_is_reported() -> None:
    batch, report = Featurisation(tokens=100, atoms=800).run({"bucket": "64"})
    assert len(batch["seq_mask"]) == 100
    assert report.effects == []
    assert report.refusals == [
        ("bucket", "job has 100 tokens, more than 64; its bucket is 100"),
    ]


def test_a_fixed_number_of_rows_is_a_matter_of_the_network() -> None:
    batch, report = Featurisation(tokens=100, atoms=800).run({"msa_rows": "2"})
    assert len(batch["seq_mask"]) == 256
    assert len(batch["msa"]) == MSA_SIZE
    assert "sees 2 of the 3 rows of the MSA of job" in report.sentences[0]


def test_templates_that_differ_are_all_kept() -> None:
    batch, report = Featurisation(tokens=100, atoms=800, templates=1).run(ALL)
    assert batch["template_aatype"].shape == (4, 100)
    assert report.refusals == [
        ("templates", "job does not have 4 equal templates, so that all count")
    ]


def test_features_of_another_network_stay_as_they_are() -> None:
    batch, report = Featurisation(tokens=100, atoms=800).run(ALL, network="boltz2")
    assert len(batch["seq_mask"]) == 256
    assert len(batch["msa"]) == MSA_SIZE
    assert report.refusals == [(name, "the program runs boltz2, another network") for name in ALL]


def test_rows_stay_where_the_network_would_repeat_the_last_one() -> None:
    batch, report = Featurisation(tokens=100, atoms=800).run(ALL, network_is_adapted=False)
    assert len(batch["msa"]) == MSA_SIZE
    assert [name for name, _ in report.refusals] == ["msa_rows"]


def test_features_of_an_unknown_version_are_those_of_the_program() -> None:
    featurisation = Featurisation(tokens=100, atoms=800, without="seq_mask")
    batch, report = featurisation.run(ALL)
    assert len(batch["msa_mask"][0]) == 256
    assert [buckets for buckets, _ in featurisation.calls][-1] == (256, 512)
    assert report.effects == []
    assert {name for name, _ in report.refusals} == ALL.keys()


@pytest.mark.parametrize(
    ("value", "step", "tokens", "bucket"),
    [
        ("exact", None, 1, 5),
        ("exact", None, 333, 333),
        ("exact", 64, 64, 64),
        ("exact", 64, 65, 128),
        ("200", None, 150, 200),
        ("200", None, 201, 201),
        ("200", 64, 201, 256),
    ],
)
def test_bucket_of_a_size(value: str, step: int | None, tokens: int, bucket: int) -> None:
    assert next(size for size in bucket_sizes(value, step) if size >= tokens) == bucket
