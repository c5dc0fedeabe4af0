"""Sweeps and tunings on this machine, and the results that they return."""
