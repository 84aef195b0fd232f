"""Parquet files: schemas, parts, indexes of keys, sorting, compaction."""
