"""Manifests: the data sets to be labeled, read row by row, from disk or S3. Each format is one module here."""

from __future__ import annotations

from labelflow.manifests.reader import Manifest, open_manifest

__all__ = ["Manifest", "open_manifest"]
