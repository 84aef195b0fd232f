"""The command line of contenders that process a job without a flow."""

from __future__ import annotations

import argparse

from labelflow.jobs.config import load_job
from labelflow.jobs.job import Job


def load_job_argument(description: str | None) -> Job:
    """Parse the command line and load the job."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("--output", metavar="FOLDER")
    options = parser.parse_args()
    return load_job(options.config, output=options.output)
