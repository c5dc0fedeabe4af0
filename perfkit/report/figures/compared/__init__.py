"""Figures of a comparison: changes of quantities, and two folders next to each other."""
