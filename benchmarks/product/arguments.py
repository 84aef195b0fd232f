"""The command line of those of our sides that work on a job without a flow."""

from __future__ import annotations

import argparse

from labelflow.jobs.config import load_job
from labelflow.jobs.job import Job


def given_job(description: str | None) -> Job:
    """The job that is named."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("--output", metavar="FOLDER")
    given = parser.parse_args()
    return load_job(given.config, output=given.output)
