"""Base classes of the models that a record consists of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class FrozenModel(BaseModel):
    """An immutable model that refuses unknown fields.

    Its fields are part of the schema: a new field raises
    :data:`perfkit.records.schema.SCHEMA_VERSION`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class OpenModel(BaseModel):
    """An immutable model that keeps unknown fields.

    Fields that another version of perfkit wrote are kept when a record is read and written again.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", populate_by_name=True, serialize_by_alias=True
    )
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)
