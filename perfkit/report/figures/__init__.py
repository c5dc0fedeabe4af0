"""Figures: ``*_info`` extracts the data of a figure, and ``*_figure`` draws it.

:data:`FIGURES` and :func:`figure` give the figures that need records alone, by name. Figures of
fits and plans are in :mod:`perfkit.report.figures.capacity`.
"""

from perfkit.report.figures.registry import FIGURES, figure

__all__ = ["FIGURES", "figure"]
