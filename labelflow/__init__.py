"""labelflow: label a data set through the Scale API. No module of this package imports Prefect when it is loaded.

>>> import labelflow
>>> labelflow.__version__
'0.1.0'
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """Return the version, read from the installed package's metadata on first use, because that import is slow."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            globals()["__version__"] = version("labelflow")
        except PackageNotFoundError:  # a checkout that is not installed
            globals()["__version__"] = "0+unknown"
        return globals()["__version__"]
