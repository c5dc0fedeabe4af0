"""Results of observers, read from records as the models of the observers."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from perfkit.records.schema import Record


def found[Model: BaseModel](record: Record, observer: str, model: type[Model]) -> Model | None:
    """Results of an observer; None if there are none, or an older perfkit wrote them differently.

    Parameters
    ----------
    record
        The record.
    observer
        Name of the observer.
    model
        Model of its results.
    """
    observation = record.observations.get(observer)
    if observation is None or not observation.data:
        return None
    try:
        return model.model_validate(observation.data)
    except ValidationError:
        return None
