"""A real prediction with a deliberate error disagrees with the reference, part by part."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.schema import Outcome, Record
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.request import TrialFiles, TrialRequest

pytest.importorskip("alphafold3", reason="the trials need the af3 extra")

pytestmark = pytest.mark.long

PROGRAMS = "programs"

KNOBS = {"bucket": "exact", "msa_rows": "needed", "precision": "float32"}

PERTURB = """
import os
import perfkit.models.af3.weights as weights

made = weights.synthetic_parameters_mapped

def perturbed(*arguments, **options):
    parameters = made(*arguments, **options)
    (module,) = [name for name in parameters if name.endswith(os.environ["PERFKIT_PERTURBED"])]
    return {**parameters, module: {**parameters[module], "weights": wrong(parameters, module)}}

def wrong(parameters, module):
    return parameters[module]["weights"] * parameters[module]["weights"].dtype.type(1.01)

weights.synthetic_parameters_mapped = perturbed
"""
"""A ``sitecustomize`` module that makes one of the model's weights 1 % too large."""


def run(folder: Path, programs: Path, files: TrialFiles) -> Record:
    """Run a trial; the weights are arguments, so that all trials run one compiled program."""
    model = get_model("af3")
    workload = model.workload({"size": 8}, {"steps": 1})
    configuration = Catalogue(model.knobs).configuration(KNOBS)
    files = dataclasses.replace(files, compile_cache=programs)
    request = TrialRequest(workload, configuration, folder, files=files)
    return run_trial(TrialProcess(request), 0)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    record = run(folder, folder / PROGRAMS, TrialFiles(save_compared=folder / "reference.answers"))
    assert record.outcome is Outcome.OK
    return folder / "reference.answers"


@pytest.mark.parametrize(
    ("module", "outside"),
    [
        ("evoformer/single_activations", {"single_embedding", "denoising_step", "plddt_logits"}),
        ("confidence_head/pae_logits", {"pae_logits"}),
    ],
)
def test_one_weight_perturbed_by_one_per_cent_disagrees(
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    outside: set[str],
) -> None:
    (tmp_path / "sitecustomize.py").write_text(PERTURB)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("PERFKIT_PERTURBED", module)
    record = run(tmp_path, reference.parent / PROGRAMS, TrialFiles(reference=reference))
    assert record.outcome is Outcome.DISAGREES, record.reason
    assert record.agreement is not None
    classes = {each.name: each.reached for each in record.agreement.quantities}
    assert len(classes) == 9
    assert outside <= {name for name, reached in classes.items() if reached != "float32"}
    # Quantities that are computed before the faulty weight agree.
    assert module.startswith("evoformer") or classes["pair_embedding"] in ("bitwise", "float32")


def test_the_same_weights_agree(reference: Path, tmp_path: Path) -> None:
    record = run(tmp_path, reference.parent / PROGRAMS, TrialFiles(reference=reference))
    assert record.outcome is Outcome.OK, record.reason
