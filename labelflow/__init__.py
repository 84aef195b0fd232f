"""The work itself, free of Prefect: from a manifest's rows to rows of Parquet."""
