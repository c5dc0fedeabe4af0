"""WHAT IS KNOWN ALREADY: presets that ship with perfkit, and those of earlier tunings."""
