"""The forecasting task: input, target and forcing variables, and their dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config

SURFACE_VARIABLES = (
    "2m_temperature",
    "mean_sea_level_pressure",
    "10m_v_component_of_wind",
    "10m_u_component_of_wind",
    "sea_surface_temperature",
)
ATMOSPHERIC_VARIABLES = (
    "temperature",
    "geopotential",
    "u_component_of_wind",
    "v_component_of_wind",
    "vertical_velocity",
    "specific_humidity",
)
FORCING_VARIABLES = (
    "year_progress_sin",
    "year_progress_cos",
    "day_progress_sin",
    "day_progress_cos",
)
STATIC_VARIABLES = ("geopotential_at_surface", "land_sea_mask")
PRECIPITATION = "total_precipitation_12hr"
MASKED_VARIABLE = "sea_surface_temperature"
"""The only variable with missing values: it is NaN over land."""

PRESSURE_LEVELS_HPA = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)
STEP_HOURS = 12
INPUT_FRAMES = 2


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class TaskConfig:
    """The task of a checkpoint. The names of the fields are those of the official file.

    Attributes
    ----------
    input_variables, target_variables, forcing_variables
        Names of the variables.
    pressure_levels
        Levels of atmospheric variables in hPa.
    input_duration
        Time span of the two input frames.
    """

    input_variables: tuple[str, ...] = (
        *SURFACE_VARIABLES,
        *ATMOSPHERIC_VARIABLES,
        *FORCING_VARIABLES,
        *STATIC_VARIABLES,
    )
    target_variables: tuple[str, ...] = (
        *SURFACE_VARIABLES[:4],
        PRECIPITATION,
        SURFACE_VARIABLES[4],
        *ATMOSPHERIC_VARIABLES,
    )
    forcing_variables: tuple[str, ...] = FORCING_VARIABLES
    pressure_levels: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1100)], ...], Field(min_length=1, max_length=200)
    ] = PRESSURE_LEVELS_HPA
    input_duration: Literal["24h"] = "24h"

    def levels_of(self, variable: str) -> int:
        """Return the number of channels of one frame of ``variable``."""
        return len(self.pressure_levels) if variable in ATMOSPHERIC_VARIABLES else 1

    @property
    def output_channels(self) -> int:
        """Number of channels that the network predicts per grid node."""
        return sum(self.levels_of(name) for name in self.target_variables)

    @property
    def constant_channels(self) -> int:
        """Number of channels of the inputs, which are constant during one sampled step."""
        return sum(
            self.levels_of(name) * (1 if name in STATIC_VARIABLES else INPUT_FRAMES)
            for name in self.input_variables
        )

    @property
    def grid_channels(self) -> int:
        """Number of input channels of the network per grid node (264 for GenCast)."""
        return self.constant_channels + self.output_channels + len(self.forcing_variables)


def dimensions_of(variable: str) -> tuple[str, ...]:
    """Return the dimensions of a variable, in the order that all arrays use."""
    if variable in STATIC_VARIABLES:
        return ("lat", "lon")
    if variable in FORCING_VARIABLES:
        return ("batch", "time", "lon") if variable.startswith("day") else ("batch", "time")
    level = ("level",) if variable in ATMOSPHERIC_VARIABLES else ()
    return ("batch", "time", *level, "lat", "lon")
