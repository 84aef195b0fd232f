"""Background work: annotators, attachment downloads, callbacks."""
