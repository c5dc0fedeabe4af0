"""Search of a traced program for the operations that another jaxlib computes differently."""
