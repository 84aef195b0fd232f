"""Relabeling: which rows that have a task get a new one."""
