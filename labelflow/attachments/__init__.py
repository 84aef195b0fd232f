"""Attachments are looked at before money is spent: are they there, and are they what Scale takes?

A new scheme is one new file in `schemes/`. What Scale takes stands in `limits.py`.
"""

from __future__ import annotations

from labelflow.attachments.attachment import Attachment, CheckLevel, StoreUnreachable
from labelflow.attachments.checker import AttachmentChecker

__all__ = ["Attachment", "AttachmentChecker", "CheckLevel", "StoreUnreachable"]
