"""What a user would run instead, each written the way its own documentation shows. Each file is a process of its own:

python -m benchmarks.baselines.NAME --url URL --rows N
"""
