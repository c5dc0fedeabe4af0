"""The version of this perfkit, for packaging, records and output files."""

__version__ = "0.2.0"
