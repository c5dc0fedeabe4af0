"""WHAT IS KEPT of a trial: the record, the store, the machine's fingerprint."""
