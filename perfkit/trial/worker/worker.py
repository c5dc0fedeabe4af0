"""The worker: follows its parent's instructions for one trial, or for many in one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

from perfkit.trial.messages import SINGLE, Channel, Command, EventKind, Instruction, TrialSpec
from perfkit.trial.worker.cache import FindModel, WorkerCache, registered_model
from perfkit.trial.worker.commands import read_instructions
from perfkit.trial.worker.compiler import Compiler
from perfkit.trial.worker.failures import attempt
from perfkit.trial.worker.stages import notice_stops
from perfkit.trial.worker.trial import OpenTrial


def main(arguments: list[str], find_model: FindModel = registered_model) -> int:
    """Run the trial that a specification file describes, or trials until the parent ends them.

    Parameters
    ----------
    arguments
        Path of the specification of a single trial, if there is only one; number of the file
        descriptor for events.
    find_model
        Returns the model of a name.

    Returns
    -------
    int
        Exit code: 1 if a single trial has failed, else 0.
    """
    *spec_files, descriptor = arguments
    channel = Channel(int(descriptor))
    notice_stops()
    if spec_files:
        return serve_one(Path(spec_files[0]), channel, find_model)
    serve_many(channel, find_model)
    return 0


def serve_one(spec_file: Path, channel: Channel, find_model: FindModel) -> int:
    """Run one trial, with its observers around it; returns the exit code."""
    spec = TrialSpec.read(spec_file)
    # Every thread that is started from here on is bound to these CPUs.
    os.sched_setaffinity(0, spec.affinity)
    instructions = read_instructions(last=Command.FINISH)

    def run() -> None:
        with _observed(spec, spec_file.parent, instructions):
            worker = Worker(channel, find_model, keeps=False)
            try:
                for instruction in chain(
                    [Instruction(Command.OPEN, SINGLE, spec_file)], instructions
                ):
                    worker.follow(instruction)
            finally:
                worker.close()

    return 0 if attempt(run, channel) else 1


def serve_many(channel: Channel, find_model: FindModel) -> None:
    """Run trials until the parent sends the command to exit; one that fails ends alone."""
    worker = Worker(channel, find_model, keeps=True)
    try:
        for instruction in read_instructions(last=Command.EXIT):
            trial = channel.of_trial(instruction.trial)
            if not attempt(partial(worker.follow, instruction), trial):
                worker.end(instruction.trial)
            channel.send(EventKind.SERVED)
    finally:
        worker.close()


@contextmanager
def _observed(spec: TrialSpec, folder: Path, instructions: Iterator[Instruction]) -> Iterator[None]:
    """Enter the contexts of the child's observers once the parent has started its side of them."""
    with ExitStack() as contexts:
        if spec.observers:
            from perfkit.observers.registry import make_observer

            # The parent sends `go` first of all.
            next(instructions, None)
            for name in spec.observers:
                contexts.enter_context(make_observer(name).around(folder))
        yield


class Worker:
    """The open trials of this process.

    Parameters
    ----------
    channel
        Channel that events are sent over.
    find_model
        Returns the model of a name.
    keeps
        Whether models and programs are kept for later trials.
    """

    def __init__(
        self, channel: Channel, find_model: FindModel = registered_model, *, keeps: bool = False
    ) -> None:
        self._channel = channel
        self._cache = WorkerCache(find_model, keeps=keeps)
        self._compiler = Compiler()
        self._trials: dict[int, OpenTrial] = {}

    def follow(self, instruction: Instruction) -> None:
        """Follow an instruction; one for a trial that has ended is ignored."""
        number, spec_file = instruction.trial, instruction.spec
        if spec_file is not None:
            spec = TrialSpec.read(spec_file)
            # Only the first trial of a process changes this: all have the same CPUs.
            os.sched_setaffinity(0, spec.affinity)
            channel = self._channel.of_trial(number)
            self._trials[number] = OpenTrial(
                spec, channel, spec_file.parent, self._cache, self._compiler
            )
        trial = self._trials.get(number)
        if trial is None:
            return
        with trial.current():
            if spec_file is not None:
                trial.open()
            else:
                trial.follow(instruction.command)
        if instruction.command in (Command.FINISH, Command.CLOSE):
            self.end(number)

    def end(self, number: int) -> None:
        """End a trial, and let go of what it used."""
        trial = self._trials.pop(number, None)
        if trial is not None:
            trial.close()

    def close(self) -> None:
        """End all trials, and remove what only this process could use."""
        for number in list(self._trials):
            self.end(number)
        self._compiler.close()
