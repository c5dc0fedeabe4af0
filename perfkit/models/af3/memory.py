"""Peak memory of an AlphaFold 3 prediction on a CPU, predicted before anything is compiled."""

from __future__ import annotations

from perfkit.models.af3.knobs import Settings

PROCESS_BYTES = 1.3e9
"""Interpreter, imported packages, the compiler and its generated code."""

PARAMETER_COUNT = 368_376_218
"""Parameters of the network, counted from upstream's shapes."""

PAIR_BYTES = {"all": 11.0e3, "none": 19.0e3}
ROW_BYTES = {"all": 1.4e3, "none": 2.1e3}
"""XLA's temporary bytes a token pair, and a token and MSA row."""

PAIR_SAMPLE_BYTES = 2.0e3
"""More a token pair for each further diffusion sample."""


def peak_resident_bytes(settings: Settings, samples: int) -> int:
    """Predicted peak resident set in bytes.

    Parameters
    ----------
    settings
        What the knobs mean for the input.
    samples
        Diffusion samples that are computed side by side.
    """
    tokens, precision = settings.bucket, settings.bfloat16
    rows = settings.msa_rows or 16
    parameter_bytes = PARAMETER_COUNT * (4 if precision == "none" else 2)
    # A baked-in parameter exists as literal, as constant of the module and in generated code.
    copies = 5 if settings.constants else 1
    temporary = (
        PAIR_BYTES[precision] * tokens**2
        + ROW_BYTES[precision] * tokens * rows
        + PAIR_SAMPLE_BYTES * tokens**2 * (samples - 1)
    )
    return int(PROCESS_BYTES + copies * parameter_bytes + temporary)
