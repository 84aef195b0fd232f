"""One comparison a file: its title, how it is measured, its targets. Found by being there; see `Comparison`."""
