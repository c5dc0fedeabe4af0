"""ONE MEASURED RUN: the parent's launcher, the child's worker, and what passes between them."""
