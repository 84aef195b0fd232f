"""The output files of a job: labels/, errors/, rejects/. Their names are in `folders.py`."""
