"""Observers of a trial, one module per observer."""
