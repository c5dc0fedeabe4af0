"""A trial with observers: those of the timed pass look at it, the others at children of their own.

The record of the trial stands before the further children are started, so that nothing of what
they do, fail at or are interrupted in can cost it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from perfkit.knobs.configuration import Configuration
from perfkit.models.base import Workload
from perfkit.observers.observer import ExtraPass, Finding, Observer, Process
from perfkit.observers.registry import of_process
from perfkit.records.schema import Outcome, Record
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.limits import Limits
from perfkit.trial.messages import GUARD_OFF
from perfkit.trial.record_making import with_findings
from perfkit.trial.request import TrialFiles, TrialLabels

JUDGED = (Outcome.OK, Outcome.NONFINITE, Outcome.DISAGREES)
"""Outcomes of a trial that ran to its end: another child would too."""


class ObservedTrial(TrialProcess):
    """A :class:`TrialProcess` whose record also holds what observers found.

    Parameters
    ----------
    observers
        Of any places. Those that are unavailable leave the one line that says why.

    The others are those of :class:`TrialProcess`.

    Attributes
    ----------
    interrupted
        Whether a further child was interrupted, which the record's outcome does not tell.
    """

    def __init__(
        self,
        workload: Workload,
        configuration: Configuration,
        store_folder: Path,
        limits: Limits | None = None,
        labels: TrialLabels | None = None,
        files: TrialFiles | None = None,
        guard: str = GUARD_OFF,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._absent = {
            observer.name: reason
            for observer in observers
            if (reason := observer.unavailable()) is not None
        }
        self._present = [each for each in observers if each.name not in self._absent]
        self._finished: Record | None = None
        self.interrupted = False
        self._further_limits = limits
        self._further_guard = guard
        super().__init__(
            workload,
            configuration,
            store_folder,
            limits,
            labels,
            files,
            guard,
            observers=of_process(self._present, Process.TIMED),
        )

    def finish(self) -> Record:
        """End the trial, then have the further children looked at; see the base class."""
        record = super().finish()
        absent = [(name, Finding(missing=reason)) for name, reason in self._absent.items()]
        self._finished = with_findings(record, absent, self._store_folder)
        if record.outcome in JUDGED:
            for observers in self._groups():
                self._look(observers)
        return self._finished

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """End at once; a record that stands already is kept as it is."""
        if self._finished is not None:
            self.interrupted = outcome is Outcome.INTERRUPTED
            return self._finished
        return super().abort(outcome, reason)

    def _groups(self) -> Iterator[list[Observer]]:
        """Observers by further child: one for all that share, one each for the others."""
        beside = of_process(self._present, Process.SHARED)
        if beside:
            yield beside
        for observer in of_process(self._present, Process.OWN):
            yield [observer]

    def _look(self, observers: Sequence[Observer]) -> None:
        """Run one further child past its observers and keep what they found."""
        names = "+".join(observer.name for observer in observers)
        further = TrialProcess(
            self.workload,
            self.configuration,
            self._store_folder,
            self._further_limits,
            guard=self._further_guard,
            observers=observers,
            further=True,
        )
        further.folder = self.folder / names
        further.on_stage = lambda stage: self.on_stage(f"{names}: {stage}")
        try:
            further.start()
            if further.wait_ready():
                _further_passes(further, observers)
            record = further.finish()
        except KeyboardInterrupt:
            further.abort(Outcome.INTERRUPTED, "interrupted by the user")
            self._keep((each.name, Finding(missing="interrupted")) for each in observers)
            raise
        bad = record.outcome not in JUDGED
        told = dict(further.findings)
        self._keep(
            (each.name, _said(told.get(each.name, Finding()), record.reason if bad else ""))
            for each in observers
        )

    def _keep(self, findings: Iterable[tuple[str, Finding]]) -> None:
        if self._finished is not None:
            self._finished = with_findings(self._finished, findings, self._store_folder)


def _said(finding: Finding, reason: str) -> Finding:
    """The finding, with why its child ended early if it did."""
    if not reason:
        return finding
    missing = "; ".join(filter(None, (finding.missing, f"its own child ended early: {reason}")))
    return replace(finding, missing=missing)


def _further_passes(further: TrialProcess, observers: Sequence[Observer]) -> None:
    """One more pass a kind that an observer wants, between its hooks."""
    run: dict[ExtraPass, Callable[[], object]] = {
        ExtraPass.PLAIN: lambda: further.steady_pass(0),
        ExtraPass.TRACED: further.trace_parts,
    }
    for kind, go in run.items():
        wanting = [observer for observer in observers if observer.extra_pass is kind]
        if not wanting:
            continue
        for observer in wanting:
            observer.pass_begins()
        go()
        for observer in wanting:
            observer.pass_ended()
