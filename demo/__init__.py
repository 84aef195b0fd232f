"""The demo: sample data sets, drawn, spoken and written on the spot, to have labeled by the local sandbox."""
