"""Manifests: the data sets to be labeled, read row by row, from disk or S3. One file here is one format."""

from __future__ import annotations

from labelflow.manifests.reader import Manifest, open_manifest

__all__ = ["Manifest", "open_manifest"]
