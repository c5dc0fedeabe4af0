"""A trial with observers.

Observers of the timed pass watch the trial itself; the others watch further children of their own.
The record of the trial is complete before the first further child starts, so that nothing that
happens to a further child can cost it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from perfkit.observers.observer import ExtraPass, Finding, Observer, Process
from perfkit.observers.registry import of_process
from perfkit.records.schema import Outcome, Record
from perfkit.trial.child import ChildProcess, StartChild
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.record_making import with_findings
from perfkit.trial.request import TrialFiles, TrialLabels, TrialRequest

COMPLETE = (Outcome.OK, Outcome.NONFINITE, Outcome.DISAGREES)
"""Outcomes of a trial that ran to its end: another child would run to its end too."""


class ObservedTrial(TrialProcess):
    """A :class:`TrialProcess` whose record also holds the findings of observers of any place.

    For an observer that is unavailable the record holds the reason.

    Parameters
    ----------
    request
        Request for the trial, with observers of any place.
    start_child
        Starts each child.

    Attributes
    ----------
    interrupted
        Whether a further child was interrupted. The record's outcome does not show it, as the
        trial itself had ended before.
    """

    def __init__(self, request: TrialRequest, *, start_child: StartChild = ChildProcess) -> None:
        self._unavailable = {
            observer.name: reason
            for observer in request.observers
            if (reason := observer.unavailable()) is not None
        }
        self._available = [
            observer for observer in request.observers if observer.name not in self._unavailable
        ]
        self._finished: Record | None = None
        self.interrupted = False
        timed = tuple(of_process(self._available, Process.TIMED))
        super().__init__(replace(request, observers=timed), start_child=start_child)

    def finish(self) -> Record:
        """End the trial, run the further children, and return the record with all findings."""
        record = super().finish()
        reasons = [(name, Finding(missing=reason)) for name, reason in self._unavailable.items()]
        self._finished = with_findings(record, reasons, self.request.store_folder)
        if record.outcome in COMPLETE:
            for observers in self._groups():
                self._run_further_child(observers)
        return self._finished

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """End the trial at once; a complete record is returned as it is."""
        if self._finished is not None:
            self.interrupted = outcome is Outcome.INTERRUPTED
            return self._finished
        return super().abort(outcome, reason)

    def _groups(self) -> Iterator[list[Observer]]:
        """Observers by further child: one for all that share, one each for the others."""
        sharing = of_process(self._available, Process.SHARED)
        if sharing:
            yield sharing
        for observer in of_process(self._available, Process.OWN):
            yield [observer]

    def _run_further_child(self, observers: Sequence[Observer]) -> None:
        """Run a further child with its observers and add their findings to the record."""
        names = "+".join(observer.name for observer in observers)
        # The answer of the trial stands: a further child neither compares nor writes it.
        request = replace(
            self.request, labels=TrialLabels(), files=TrialFiles(), observers=tuple(observers)
        )
        further = TrialProcess(
            request,
            folder=self.folder / names,
            observation_only=True,
            start_child=self._start_child,
        )
        further.on_stage = lambda stage: self.on_stage(f"{names}: {stage}")
        try:
            further.start()
            if further.wait_ready():
                _run_extra_passes(further, observers)
            record = further.finish()
        except KeyboardInterrupt:
            further.abort(Outcome.INTERRUPTED, "interrupted by the user")
            self._add((each.name, Finding(missing="interrupted")) for each in observers)
            raise
        failure = "" if record.outcome in COMPLETE else record.reason
        findings = dict(further.findings)
        self._add(
            (each.name, _with_failure(findings.get(each.name, Finding()), failure))
            for each in observers
        )

    def _add(self, findings: Iterable[tuple[str, Finding]]) -> None:
        if self._finished is not None:
            self._finished = with_findings(self._finished, findings, self.request.store_folder)


def _with_failure(finding: Finding, reason: str) -> Finding:
    """The finding, with the reason why its child ended early, if it did."""
    if not reason:
        return finding
    missing = "; ".join(filter(None, (finding.missing, f"its own child ended early: {reason}")))
    return replace(finding, missing=missing)


def _run_extra_passes(further: TrialProcess, observers: Sequence[Observer]) -> None:
    """Run one pass of each kind that an observer asks for, between that observer's hooks."""
    passes: dict[ExtraPass, Callable[[], object]] = {
        ExtraPass.PLAIN: lambda: further.steady_pass(0),
        ExtraPass.TRACED: further.trace_parts,
    }
    for kind, run in passes.items():
        asking = [observer for observer in observers if observer.extra_pass is kind]
        if not asking:
            continue
        for observer in asking:
            observer.pass_begins()
        run()
        for observer in asking:
            observer.pass_ended()
