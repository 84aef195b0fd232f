"""Injected faults: `python -m labelflow.sandbox --faults SPEC`.

`settings.fault_spec` parses the specification, `settings.fault_kinds` and `requests.kinds` list the faults,
`components` builds a sandbox with faults. A new fault is an entry in one of the two lists, and a function next to the
others of its target.
"""
