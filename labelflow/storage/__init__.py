"""Folders on local disk and in S3, and files that are read in ranges."""
