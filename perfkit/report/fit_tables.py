"""Tables of a fit: its scaling laws and their accuracy."""

from __future__ import annotations

from perfkit.capacity.laws.assemble import BEYOND, TIME, accuracies
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.law import Law
from perfkit.capacity.laws.prediction import COVERAGE
from perfkit.models import get_model
from perfkit.models.costs import CONSTANT
from perfkit.report.plain_table import PlainTable
from perfkit.units import bytes_text, percent_text, seconds_text


def fit_sentence(fit: ModelFit) -> str:
    """Describe the fit in one sentence: model, preset, trials, range of sizes, and CPUs."""
    unit = get_model(fit.model).size_unit
    return (
        f"{fit.model} in {fit.label}: {fit.points} trials from {fit.least_size:g} to "
        f"{fit.largest_size:g} {unit} on {fit.cpus} CPUs of {fit.machine.get('cpu', 'unknown')}"
    )


def shallow_sentence(fit: ModelFit) -> str:
    """Describe what the shallow network gave to a fit; empty for nothing."""
    if not fit.shallow_sizes:
        return ""
    unit = get_model(fit.model).size_unit
    sizes = ", ".join(f"{size:g}" for size in fit.shallow_sizes)
    text = f"Times at {sizes} {unit} are predicted from passes of the shallow network"
    if not fit.shallow_corrections:
        return f"{text}; no size was measured at both depths."
    parts = ", ".join(
        f"{name.replace('_', ' ')} {percent_text(factor - 1, signed=True)}"
        for name, factor in fit.shallow_corrections.items()
    )
    text += f", corrected by what the full network took at a common size: {parts}."
    more = fit.shallow_overhead_bytes
    if more is None:
        return text
    change = f"{bytes_text(abs(more))} {'more' if more >= 0 else 'less'}"
    return (
        f"{text} Memory beyond the compiler's count is there that of the shallow network, and "
        f"{change}, as at the common size."
    )


def law_table(fit: ModelFit) -> PlainTable:
    """One row per law with its terms and its relative residual."""
    rows = [(name, law_text(law), *_residual(law)) for name, law in fit.laws.items()]
    rows += [
        ("memory: XLA's buffers", law_text(fit.compiled, "B"), *_residual(fit.compiled)),
        (
            "memory: results of a pass",
            law_text(fit.output_bytes, "B"),
            *_residual(fit.output_bytes),
        ),
        ("memory: other", law_text(fit.overhead, "B"), *_residual(fit.overhead)),
    ]
    details = [
        (name, f"{100 * law.serial:.1f} % serial, CPUs {', '.join(map(str, law.measured))}", "")
        for name, law in (("CPUs, passes", fit.running_cpus), ("CPUs, start", fit.starting_cpus))
        if law is not None
    ]
    if fit.contention is not None:
        slower = percent_text(fit.contention)
        details.append(("instances", f"{slower} slower if others fill the machine", ""))
    if fit.cached_compile_s is not None:
        details.append(("compile, from cache", seconds_text(fit.cached_compile_s), ""))
    return PlainTable("Laws", ("quantity", "law", "residual"), (*rows, *details))


def law_text(law: Law, unit: str = "s") -> str:
    """Format a law, for example ``0.12 s + 0.0031 s n^2``.

    Parameters
    ----------
    law
        The law.
    unit
        Unit of its coefficients.
    """
    pairs = zip(law.coefficients, law.terms, strict=True)
    texts = [f"{value:.3g} {unit}{'' if term == CONSTANT else ' ' + term}" for value, term in pairs]
    return " + ".join(texts) or "0"


def _residual(law: Law) -> tuple[str]:
    """Root mean square of the relative residuals, per degree of freedom."""
    return (percent_text(law.error) if law.freedom > 0 else "-",)


def accuracy_table(fit: ModelFit) -> PlainTable:
    """Errors of predictions for runs that were held out of the fit."""
    rows = tuple(
        (
            one.quantity if one.quantity != TIME else "time of a pass",
            "beyond, up to twice the largest" if one.place == BEYOND else "within the range",
            str(one.cases),
            percent_text(one.mean_error),
            percent_text(one.largest_error),
            percent_text(one.inside),
        )
        for one in accuracies(fit.held_out)
    )
    headers = ("quantity", "sizes", "cases", "mean error", "largest error")
    interval = f"in the {percent_text(COVERAGE)} interval"
    return PlainTable("Held out", (*headers, interval), rows)
