"""The known preset nearest to this machine and a size, without measuring."""

from __future__ import annotations

from pathlib import Path

from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.models import DEFAULT_MODEL, get_model
from perfkit.presets.advice import Advice, advise
from perfkit.presets.known import SHIPPED, shipped_preset, shipped_presets, stored_presets
from perfkit.presets.nearness import Here
from perfkit.presets.nearness import here as this_machine
from perfkit.tuning.preset import write_preset
from perfkit.units import cut

LARGEST_SIZE = 10**9
"""Sizes above are typing errors: inputs have up to some thousands of tokens, and a global grid of
0.05 degrees has 26 million nodes."""


def recommend(
    *,
    model: str = DEFAULT_MODEL,
    size: int | str,
    store: Path | str | None = None,
    shipped: str | None = None,
    preset_out: Path | str | None = None,
    here: Here | None = None,
    shipped_folder: Path = SHIPPED,
) -> Advice:
    """Name the known preset nearest to this machine and a size, as ``perfkit recommend`` does.

    Nothing is measured. The order of nearness is that of
    :class:`perfkit.presets.nearness.Distance`.

    Parameters
    ----------
    model
        Name of the model.
    size
        Size of the input in the model's unit, e.g. tokens.
    store
        Folder with the results of earlier tunings, whose presets are considered, too; None for
        none.
    shipped
        Name of a shipped preset to use instead of the nearest one.
    preset_out
        File to save the preset to, with the values that this machine can use.
    here
        The machine; this one by default.
    shipped_folder
        Folder of the shipped presets.

    Returns
    -------
    Advice
        The preset, its distance, the values that can be used here, and how far it may be trusted.

    Raises
    ------
    UserError
        There is no such model or shipped preset, the size is impossible, the folder does not exist,
        no preset of the model is known, or the file cannot be written.
    """
    chosen = get_model(model)
    wanted = _size(size, chosen.size_unit)
    machine = this_machine() if here is None else here
    if store is not None and not Path(store).is_dir():
        raise UserError(f"there is no folder {store}: give one with presets of earlier tunings")
    if shipped is not None:
        presets = [shipped_preset(shipped, chosen.name, shipped_folder)]
    else:
        presets = shipped_presets(chosen.name, shipped_folder)
        presets += [] if store is None else stored_presets(chosen.name, Path(store))
    if not presets:
        raise UserError(
            f"no preset of model {chosen.name!r} is known; measure one with perfkit tune --model "
            f"{chosen.name}"
        )
    advice = advise(presets, wanted, chosen.size_unit, Catalogue(chosen.knobs), machine)
    if preset_out is not None:
        _save(Path(preset_out), advice)
    return advice


def _size(size: int | str, unit: str) -> int:
    text = str(size).strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
    if not 1 <= number <= LARGEST_SIZE:
        raise UserError(
            f"--size takes a whole number of {unit} from 1 to {LARGEST_SIZE:,}, not {cut(text)!r}"
        )
    return number


def _save(path: Path, advice: Advice) -> None:
    """Save the values that can be used here, with the measurements as they were made elsewhere."""
    preset, fitted = advice.preset, advice.fitted
    measured = {
        **preset.table,
        "summary": f"From {preset.title}: {advice.gain}",
        "trust": list(advice.trust),
    }
    write_preset(path, preset.model, fitted.configuration.as_dict(), measured)
