"""The export formats, one module each. A module defines `FORMAT`; nothing else registers it.

>>> sorted(formats)
['coco', 'csv', 'jsonl']
"""

from __future__ import annotations

import importlib
import pkgutil

from labelflow.exports.export_format import ExportFormat

formats: dict[str, ExportFormat] = {
    loaded.name: loaded
    for module in pkgutil.iter_modules(__path__, f"{__name__}.")
    for loaded in [importlib.import_module(module.name).FORMAT]
}
