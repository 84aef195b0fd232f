"""A sandbox that goes wrong on purpose: `python -m labelflow.sandbox --faults SPEC`.

`spec` reads what is wanted, `kinds` and `requests` say what there is, `parts` puts it into a sandbox.
A new fault is an entry in one of those two lists, and a function beside the others of its target.
"""
