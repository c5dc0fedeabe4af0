"""WHAT IS SEEN of a trial: one module an observer."""
