"""Scaling laws: time and memory of a model as functions of its features."""
