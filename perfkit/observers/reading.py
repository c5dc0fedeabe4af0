"""What an observer found, read back from a record as the observer's own model."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from perfkit.records.schema import Record


def found[Model: BaseModel](record: Record, observer: str, model: type[Model]) -> Model | None:
    """The observer's findings, None where it found nothing or an older perfkit wrote them."""
    observation = record.observations.get(observer)
    if observation is None or not observation.data:
        return None
    try:
        return model.model_validate(observation.data)
    except ValidationError:
        return None
