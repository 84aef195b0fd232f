"""Turn the labels of an annotation job into one row per box, and write them as Parquet.

python examples/unnest_boxes.py OUTPUT BOXES.parquet

Columns: row_id, attachment, left, top, width, height (pixels), label. Rows without a box are left out.
"""

from __future__ import annotations

import sys

import pandas as pd


def main(output: str, target: str) -> None:
    labels = pd.read_parquet(f"{output}/labels", columns=["row_id", "attachment", "annotations"])
    # One row per box; a row with an empty list, or with an answer that could not be parsed, becomes a null.
    boxes = labels.explode("annotations").dropna(subset="annotations").reset_index(drop=True)
    sides = pd.DataFrame(boxes.pop("annotations").tolist(), columns=["left", "top", "width", "height", "label"])
    boxes = boxes.join(sides)
    boxes.to_parquet(target, index=False)
    print(boxes.head().to_string())
    print(f"{len(boxes)} boxes on {boxes['row_id'].nunique()} of {len(labels)} images")


if __name__ == "__main__":
    main(*sys.argv[1:])
