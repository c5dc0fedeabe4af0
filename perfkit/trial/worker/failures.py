"""What ends a trial in its worker, as the outcome and the reason of its record."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from perfkit.errors import ConfigurationRefusedError, NotWrittenError, UserError
from perfkit.records.schema import Outcome
from perfkit.trial.messages import Channel, EventKind, reports_out_of_memory

REFUSAL_SIGNS = ("UNIMPLEMENTED", "INVALID_ARGUMENT", "Invalid option", "No such compile option")
"""What XLA's errors contain if it refuses a configuration."""

MAX_REASON_LENGTH = 500
"""Most characters of an error that a record takes as its reason."""


class NotEnoughMemoryError(Exception):
    """The compiled program needs more memory than the trial is allowed."""


def attempt(act: Callable[[], None], channel: Channel) -> bool:
    """Act for a trial; if that fails, report why over its channel and return False."""
    try:
        act()
    except NotWrittenError as error:
        # Not the configuration's fault: on another disk the trial would have run.
        _send(channel, Outcome.CRASHED, str(error), not_written=True)
    except (UserError, ConfigurationRefusedError) as error:
        _send(channel, Outcome.REJECTED, str(error))
    except (MemoryError, NotEnoughMemoryError) as error:
        _send(channel, Outcome.OUT_OF_MEMORY, str(error) or "MemoryError")
    except BaseException as error:
        traceback.print_exc()
        _send(channel, _outcome_of(error), _one_line(error))
    else:
        return True
    return False


def _send(channel: Channel, outcome: Outcome, reason: str, **data: bool) -> None:
    channel.send(EventKind.FAILED, outcome=outcome, reason=reason, **data)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:MAX_REASON_LENGTH]


def _outcome_of(error: BaseException) -> Outcome:
    text = str(error)
    if reports_out_of_memory(text):
        return Outcome.OUT_OF_MEMORY
    if any(sign in text for sign in REFUSAL_SIGNS):
        return Outcome.REJECTED
    return Outcome.CRASHED
