"""Fold inputs: JSON, FASTA and server jobs, checked."""
