"""Join labels to their source rows with pandas; rows without a label keep null columns.

python examples/read_with_pandas.py MANIFEST.jsonl ID_COLUMN OUTPUT
"""

from __future__ import annotations

import sys

import pandas as pd


def main(manifest: str, id_column: str, output: str) -> None:
    # `row_id` is text, also if the ids of the manifest are numbers. dtype keeps ids such as 007 unchanged.
    rows = pd.read_json(manifest, lines=True, dtype={id_column: str})
    labels = pd.read_parquet(f"{output}/labels")
    joined = rows.merge(labels, how="left", left_on=id_column, right_on="row_id", validate="one_to_one")
    print(joined[[id_column, "task_type", "completed_at", "response_json"]].head().to_string())
    print(f"{joined['row_id'].notna().sum()} of {len(joined)} rows have a label")


if __name__ == "__main__":
    main(*sys.argv[1:])
