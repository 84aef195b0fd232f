"""Storage: folders on local disk and in S3, and remote files that are read in ranges."""
