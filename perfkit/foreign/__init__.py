"""WHAT ACTS IN PROGRAMS OF OTHERS: hooks in Python processes that perfkit does not own.

``perfkit exec`` runs a command whose Python processes call
:func:`perfkit.foreign.install.begin` when they start. Modules that run in these processes import
the standard library, NumPy, JAX and modules of perfkit that import nothing else: the process may
belong to another environment, in which perfkit's own dependencies are missing.
"""
