"""Sentences of a trial for the reader of its record."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from perfkit.trial.messages import Channel, EventKind


class Notices(logging.Handler):
    """The notices of a trial: the model's, warnings that perfkit logs, labels of the prediction.

    A damaged cache file that is made again is such a warning. As a handler of perfkit's logger
    this class collects them without the program's name in front.

    Parameters
    ----------
    channel
        Channel that the notices are sent over.
    """

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel
        self._notices: list[str] = []
        self._logged: list[str] = []
        self._labels: tuple[str, ...] = ()

    def start(self, notices: Sequence[str], labels: Sequence[str]) -> None:
        """Send the notices of the model and what was logged so far.

        Parameters
        ----------
        notices
            Notices of the model.
        labels
            Labels of the prediction. They come last, where a reader of the terminal looks first.
        """
        self._notices = list(notices)
        self._labels = tuple(labels)
        self.send()

    def add(self, notice: str) -> None:
        """Add a notice, and send all."""
        self._notices.append(notice)
        self.send()

    def send(self) -> None:
        """Send all notices so far, what was logged since the last time included."""
        notices = [*self._notices, *self._logged, *self._labels]
        self._channel.send(EventKind.NOTICES, notices=notices)

    def emit(self, record: logging.LogRecord) -> None:
        """Collect one warning."""
        self._logged.append(record.getMessage().removeprefix("perfkit: "))
