"""The check of a trial's answer: finite values, agreement with the reference, written files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.records.stages import StageName
from perfkit.seal import DamagedError
from perfkit.trial.answers import opened_answers, save_answers
from perfkit.trial.messages import Channel, EventKind, TrialSpec
from perfkit.trial.worker.notices import Notices
from perfkit.trial.worker.stages import peak_rss_bytes, stage

if TYPE_CHECKING:
    import numpy as np

    from perfkit.models.base import Model
    from perfkit.models.prepared import Prepared, PyTree


class Checker:
    """Checks the outputs of a pass, and writes what the specification asks for.

    Parameters
    ----------
    spec
        Specification of the trial.
    folder
        Folder for the trial's own files.
    channel
        Channel that the result is sent over.
    notices
        Notices of the trial.
    model, prepared
        Model and its prepared computation, which made the outputs.
    """

    def __init__(
        self,
        spec: TrialSpec,
        folder: Path,
        channel: Channel,
        notices: Notices,
        model: Model,
        prepared: Prepared,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._channel = channel
        self._notices = notices
        self._model = model
        self._prepared = prepared

    def check(self, outputs: PyTree) -> None:
        """Check the outputs of a pass, as a stage of the trial."""
        with stage(self._channel, StageName.CHECK):
            self._check(outputs)

    def _check(self, outputs: PyTree) -> None:
        from perfkit.answers.finite import check_finite

        spec, prepared = self._spec, self._prepared
        report = check_finite(_named_leaves(outputs), prepared.expected_nan)
        compared = prepared.compared(outputs)
        # With a reference that is not finite every right answer would disagree.
        if spec.save_compared is not None and report.finite:
            save_answers(Path(spec.save_compared), compared)
        agreement = self._agreement(compared)
        files: list[str] = []
        # Upstream's writers fail on NaN, and a structure with NaN is no prediction.
        if spec.output_folder is not None and report.finite:
            files = self._write(outputs, Path(spec.output_folder))
        # Warnings that were logged since the last notices reach the record too.
        self._notices.send()
        self._channel.send(
            EventKind.CHECKED,
            finite=report.as_dict(),
            finite_sentence=report.sentence(),
            agreement=agreement,
            files=files,
            peak_rss_bytes=peak_rss_bytes(),
        )

    def _agreement(self, compared: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any] | None:
        """Agreement with the reference as JSON holds it; None if there is no usable reference."""
        from perfkit.answers.agreement import compare

        # A reference trial that failed has left no file.
        if self._spec.reference is None or not Path(self._spec.reference).exists():
            return None
        try:
            with opened_answers(Path(self._spec.reference)) as reference:
                agreement = compare(compared, reference, self._model.tolerances)
        except DamagedError as error:
            self._notices.add(f"the answer was not compared with the reference, which is {error}")
            return None
        declared = self._model.declared_class(self._spec.overrides)
        return agreement.as_dict() | {
            "declared": declared.label,
            "within": agreement.within(declared),
        }

    def _write(self, outputs: PyTree, folder: Path) -> list[str]:
        """Write the prediction to ``folder``, or to the trial's own if other files are there."""
        from perfkit.models.workload import Workload
        from perfkit.trial.worker.output_folder import write_prediction

        staged = self._folder / "prediction"
        workload = Workload.from_dict(self._spec.workload)
        listing = self._spec.manifest
        files = write_prediction(
            lambda into: self._prepared.write(outputs, into),
            staged,
            folder,
            workload,
            None if listing is None else Path(listing),
            overwrite=self._spec.overwrite,
        )
        if staged.exists():
            self._notices.add(
                f"the prediction is in {staged}: it would overwrite files in {folder} that are not "
                "from an earlier run of this input"
            )
        elif not all(path.is_relative_to(folder.resolve()) for path in files):
            self._notices.add(
                f"another prediction came first to {folder}: this one is next to it, see its files"
            )
        return [str(path) for path in files]


def _named_leaves(outputs: PyTree) -> dict[str, np.ndarray[Any, Any]]:
    import jax
    import numpy as np

    leaves, _ = jax.tree_util.tree_flatten_with_path(outputs)
    return {jax.tree_util.keystr(path).strip("."): np.asarray(leaf) for path, leaf in leaves}
