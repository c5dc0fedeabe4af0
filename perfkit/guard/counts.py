"""What the guard counted: elements that it lifted or zeroed, for each guarded equation."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from jax import Array

from perfkit.guard.plan import Site


@dataclasses.dataclass(frozen=True)
class SiteCount:
    """How often the guard changed the operand of one guarded equation.

    Attributes
    ----------
    site
        The equation.
    lifted
        Number of elements that were outside the domain by rounding and were moved to its edge.
    zeroed
        Number of elements that were positive only by rounding and became zero
        (``zero_rounding``).
    """

    site: Site
    lifted: int
    zeroed: int

    def as_dict(self) -> dict[str, str | int]:
        """Return the count as plain data for JSON."""
        return {**self.site.as_dict(), "lifted": self.lifted, "zeroed": self.zeroed}


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["counts"], meta_fields=["sites", "unreachable"]
)
@dataclasses.dataclass(frozen=True)
class GuardReport:
    """What the guard did in one call.

    The report is an auxiliary output of the guarded function and a pytree, so that it passes
    through ``jit``, ``vmap`` and the other transformations.

    Attributes
    ----------
    counts
        int32 of shape ``(..., sites, 2)``: elements lifted and elements zeroed. Axes that
        ``vmap`` maps come first. A count wraps around at 2**31.
    sites
        The guarded equations, known from tracing alone.
    unreachable
        Equations that hold a domain where the guard cannot reach it.
    """

    counts: Array
    sites: tuple[Site, ...]
    unreachable: tuple[Site, ...] = ()

    def is_ready(self) -> bool:
        """Return whether the counts can be read without waiting for the call to end."""
        is_ready: Any = getattr(self.counts, "is_ready", None)
        return is_ready is None or bool(is_ready())

    def rows(self) -> tuple[SiteCount, ...]:
        """Return the counts of every guarded equation, summed over mapped axes."""
        counts = np.asarray(self.counts, np.int64)
        totals = counts.sum(axis=tuple(range(counts.ndim - 2)))
        return tuple(
            SiteCount(site, int(lifted), int(zeroed))
            for site, (lifted, zeroed) in zip(self.sites, totals, strict=True)
        )

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain data for JSON, see :func:`summarize`."""
        return summarize(self.rows())


def summarize(rows: tuple[SiteCount, ...]) -> dict[str, object]:
    """Return counts as plain data for JSON.

    The result has the number of ``guarded_equations``, the totals ``lifted`` and ``zeroed``, and
    under ``sites`` only the equations whose operands the guard changed.
    """
    return {
        "guarded_equations": len(rows),
        "lifted": sum(row.lifted for row in rows),
        "zeroed": sum(row.zeroed for row in rows),
        "sites": [row.as_dict() for row in rows if row.lifted or row.zeroed],
    }
