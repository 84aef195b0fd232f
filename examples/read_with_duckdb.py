"""Query the labels of a categorization job with DuckDB: how often was each category chosen, and how fast?

python examples/read_with_duckdb.py OUTPUT      (needs `pip install duckdb`)

For an output in S3, install DuckDB's httpfs extension and pass s3://bucket/prefix.
"""

from __future__ import annotations

import sys

import duckdb

QUERY = """
    with answers as (
        select unnest(category) as category, completed_at - created_at as turnaround
        from read_parquet(?)
    )
    select category, count(*) as answers, max(turnaround) as slowest
    from answers group by category order by answers desc, category
"""


def main(output: str) -> None:
    for category, answers, slowest in duckdb.execute(QUERY, [f"{output}/labels/*.parquet"]).fetchall():
        print(f"{category:<12} {answers:>6} answers, the slowest after {slowest}")


if __name__ == "__main__":
    main(*sys.argv[1:])
