"""Our side of the comparisons. Each file is a process of its own, and tells at its end what it took."""
