"""perfkit: measure, guard, tune and plan AlphaFold 3 and GenCast runs on CPUs."""

__version__ = "0.1.0"
