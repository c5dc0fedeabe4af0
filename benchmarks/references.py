"""The stored reference outputs: a few hundred elements of each compared quantity, in float32.

`python -m benchmarks.references` replaces them with outputs of the float32 configuration. Do so
only after an intended change of a model or an input, never because a benchmark fails.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.subjects import AF3, GENCAST
from benchmarks.trials import Subject, chosen_python, ensure_ok

if TYPE_CHECKING:
    from perfkit.models.base import Model

ELEMENTS = 500
"""Elements kept per quantity: enough that any change of the whole array changes the distance."""

FOLDER = Path(__file__).with_name("reference_outputs")


def thinned(compared: Mapping[str, np.ndarray], model: Model) -> dict[str, np.ndarray]:
    """Evenly spaced elements of every quantity; positions are kept whole for superposition."""
    kept = {}
    for name in sorted(compared.keys() & model.tolerances.keys()):
        array = compared[name]
        if model.tolerances[name].kind == "positions":
            kept[name] = np.asarray(array, np.float32)
        else:
            step = -(-array.size // ELEMENTS)
            # An odd step reaches every channel of an array whose last axis is a power of two.
            kept[name] = np.asarray(array, np.float32).ravel()[:: step | 1]
    return kept


def reference_file(model: str, size: int) -> Path:
    """File of the reference outputs of a model at a size."""
    return FOLDER / f"{model}-{size}.npz"


def distance_to_reference(answers: Path, model_name: str, size: int) -> float:
    """Largest distance of any compared quantity to the stored one.

    Raises
    ------
    RuntimeError
        A stored quantity cannot be compared: it is missing, not finite, or of another shape.
    """
    from perfkit.answers.agreement import compare
    from perfkit.models import get_model
    from perfkit.trial.answers import load_answers

    model = get_model(model_name)
    ours = load_answers(answers)
    with np.load(reference_file(model_name, size), allow_pickle=False) as stored:
        # Quantities that a model has compared only since then have no reference yet.
        kept = {name: tolerance for name, tolerance in model.tolerances.items() if name in stored}
        agreement = compare(thinned(ours, model), dict(stored), kept)
    unmeasured = [f"{one.name}: {one.reason}" for one in agreement.quantities if one.reason]
    if unmeasured:
        raise RuntimeError("; ".join(unmeasured))
    return max(one.distance for one in agreement.quantities)


def make_reference(subject: Subject, size: int, folder: Path) -> None:
    """Run the float32 configuration and store its outputs."""
    from perfkit.trial.answers import load_answers
    from perfkit.trial.launcher import TrialProcess, run_trial
    from perfkit.trial.request import TrialFiles, TrialRequest

    answers = folder / "reference.answers"
    request = TrialRequest(
        subject.workload(size),
        subject.reference_configuration(),
        folder,
        files=TrialFiles(save_compared=answers),
        **chosen_python(),
    )
    ensure_ok(run_trial(TrialProcess(request), 0))
    kept = thinned(load_answers(answers), subject.get_model())
    np.savez_compressed(reference_file(subject.model, size), allow_pickle=False, **kept)


def main() -> None:
    """Make the references of both models at all sizes."""
    for subject in (AF3, GENCAST):
        for size in subject.inputs:
            with tempfile.TemporaryDirectory() as folder:
                make_reference(subject, size, Path(folder))
            path = reference_file(subject.model, size)
            print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
