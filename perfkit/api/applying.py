"""Apply a preset to a notebook or a script, before it imports JAX."""

from __future__ import annotations

import warnings
from pathlib import Path

from perfkit.errors import UserError
from perfkit.foreign.adapter import ForeignOptions
from perfkit.tuning.foreign_runs.here import AppliedPreset, apply_here
from perfkit.tuning.preset import Preset, load_preset


def apply(preset: Path | str | Preset, *, bucket_step: int | None = None) -> AppliedPreset:
    """Apply a preset to this process, as ``perfkit exec --preset`` does to a command.

    Sets XLA's flags, the CPUs and JAX's compile cache, and has the model's adapter apply the
    settings of the model once its package is imported. An allocator cannot be chosen any more: a
    warning says so. Processes that this one forks inherit the settings, others do not.

    Parameters
    ----------
    preset
        File that ``perfkit tune`` wrote, or a loaded preset.
    bucket_step
        Where the preset pads inputs to their own size: pad them to multiples of this number of
        tokens instead, so that fewer programs are compiled. None for each input's own size.

    Returns
    -------
    AppliedPreset
        Its ``sentences()`` say what has become of each setting so far.

    Raises
    ------
    UserError
        JAX is imported already, the file is no preset, or there are fewer CPUs than the preset
        needs.

    Warns
    -----
    UserWarning
        Something of the preset could not be applied, or replaces what was set.

    Examples
    --------
    >>> perfkit.apply("preset.toml")  # doctest: +SKIP
    >>> import jax  # doctest: +SKIP
    """
    if bucket_step is not None and bucket_step < 1:
        raise UserError(f"bucket_step takes 1 or more tokens, not {bucket_step}")
    loaded = preset if isinstance(preset, Preset) else load_preset(Path(preset))
    applied = apply_here(loaded, ForeignOptions(bucket_step=bucket_step))
    for notice in applied.notices:
        warnings.warn(notice, stacklevel=2)
    return applied
