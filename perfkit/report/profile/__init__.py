"""The page of a profile, and its tables for the terminal."""
