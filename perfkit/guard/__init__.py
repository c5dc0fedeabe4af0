"""THE TRANSFORMATION that keeps rounding from making NaN.

The domain guard rewrites a traced program. Where a primitive such as ``sqrt`` is only defined on
part of the real line, the guard computes how far rounding may have moved the operand, and lifts
the operand to the edge of the domain if that distance explains why it is outside. It works in
four steps:

1. *Traits* (:mod:`perfkit.guard.analysis.traits`) are known from tracing alone: ``x * x`` cannot
   be negative, while in ``a - b`` terms may cancel. They decide which equations need a guard.
2. A *plan* (:mod:`perfkit.guard.plan`) lists the guarded equations, and the values whose rounding
   bounds they need.
3. *Bounds* (:mod:`perfkit.guard.analysis.bounds`) are computed while the program runs. For
   ``d = a - b`` with ``a`` and ``b`` near 1 in float32, the bound of ``d`` is about 1.2e-7.
4. A *lift* (:mod:`perfkit.guard.analysis.lifting`) compares operand and bound element by element:
   ``sqrt(-1e-7)`` becomes ``sqrt(0)``, while ``sqrt(-0.5)`` stays NaN.
"""
