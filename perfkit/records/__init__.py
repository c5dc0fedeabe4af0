"""Records of trials: their schema, the store, journals, data frames, and the machine."""
