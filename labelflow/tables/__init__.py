"""Parquet files: schemas, column types, part files, external sort and compaction; the index of keys."""
