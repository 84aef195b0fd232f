"""Which row has which task, and whose output folder it is."""
