"""Exports of labels for training and for spreadsheets. Each module of `formats/` writes one format."""
