"""The child process of a trial."""
