"""Alternatives to labelflow, each written as its own documentation shows. Each module runs as a separate process:

python -m benchmarks.baselines.NAME --url URL --rows N
"""
