"""One measured run: the launcher in the parent, the worker in the child, their messages."""
