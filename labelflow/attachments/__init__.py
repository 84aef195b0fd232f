"""Check attachments before tasks are paid for: do they exist, and does Scale accept them?

Each module in `schemes/` implements one URI scheme; `limits.py` has what Scale accepts.
"""

from __future__ import annotations

from labelflow.attachments.attachment import Attachment, CheckLevel, MediaInfo, StoreUnavailable
from labelflow.attachments.checker import AttachmentChecker

__all__ = ["Attachment", "AttachmentChecker", "CheckLevel", "MediaInfo", "StoreUnavailable"]
