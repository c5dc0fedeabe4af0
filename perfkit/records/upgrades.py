"""Records of all schema versions, read as records of the current version."""

from __future__ import annotations

from typing import Any

from perfkit.errors import UserError
from perfkit.records.bounded import refuse_unusable
from perfkit.records.schema import SCHEMA_VERSION, Record
from perfkit.records.settings import (
    FORMER_NAMES,
    present_settings,
    settings_digest,
    settings_label,
)

OLDER_VERSIONS = (1, 2, 3, 4, 5)
"""Schema versions of which a record only needs the present version number: version 2 added
observations, version 3 disturbed passes and withheld variables, version 4 depths and shared
processes, version 5 the model's package and the role of foreign commands, version 6 what shallow
parts predict, and heat, quota and battery in the load. Older records hold none of them, so that the
defaults apply."""


class NewerSchemaError(UserError):
    """A newer perfkit wrote the record."""


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """Convert the data of a record of any schema version to the current version.

    Raises
    ------
    NewerSchemaError
        The version is newer than :data:`SCHEMA_VERSION`.
    """
    version = data.get("schema_version", 0)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"a record has schema version {version}, this perfkit reads up to {SCHEMA_VERSION}; "
            "use a newer perfkit"
        )
    if version in OLDER_VERSIONS:
        data = data | {"schema_version": SCHEMA_VERSION}
    return _with_present_knobs(data)


def _with_present_knobs(data: dict[str, Any]) -> dict[str, Any]:
    """Rename the knobs in the configuration that have another name today."""
    configuration = data.get("configuration")
    settings = configuration.get("settings") if isinstance(configuration, dict) else None
    if not isinstance(settings, dict) or FORMER_NAMES.isdisjoint(settings):
        return data
    if not all(isinstance(value, str) for value in settings.values()):
        # The schema refuses them.
        return data
    present = present_settings(settings)
    pairs = tuple(present.items())
    return data | {
        "configuration": {
            "settings": present,
            "digest": settings_digest(pairs),
            "label": settings_label(pairs),
        }
    }


def read_record(data: object) -> Record:
    """Convert plain JSON data of any schema version to a record.

    Raises
    ------
    NewerSchemaError
        The schema version is newer than :data:`SCHEMA_VERSION`.
    ValueError
        The data is not a record (a :class:`pydantic.ValidationError`), or holds a value that
        :func:`~perfkit.records.bounded.refuse_unusable` refuses.
    """
    refuse_unusable(data)
    return Record.model_validate(upgrade(data) if isinstance(data, dict) else data)
