"""labelflow: label a data set through the Scale API. No module of this package imports Prefect when it is loaded.

>>> import labelflow
>>> labelflow.__version__
'0.1.0'
>>> summary = labelflow.label(labelflow.load_job("my-job.yaml"))
"""

from typing import TYPE_CHECKING

__all__ = ["Job", "Summary", "__version__", "collect", "label", "load_job", "read_labels", "status"]

if TYPE_CHECKING:
    from labelflow.api import Job, Summary, collect, label, load_job, read_labels, status

    __version__: str
else:

    def __getattr__(name: str) -> object:
        """Load the version or the Python API on first use: both are slow to import."""
        if name == "__version__":
            value = _version()
        elif name in __all__:
            from labelflow import api

            value = getattr(api, name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, value)

    def _version() -> str:
        """Return the version in the installed package's metadata."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("labelflow")
        except PackageNotFoundError:  # a checkout that is not installed
            return "0+unknown"
