"""Keys that only a Prefect server has: in a Secret block, and in an AwsCredentials block."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.proofs.chaos.stores import open_store
from tests.support.commands import ROOT, created_rows, environment, run_command, write_manifest
from tests.support.jobs import write_config
from tests.support.sandbox import running_in_process

SAVE = """
import sys
from prefect.blocks.system import Secret
from prefect_aws import AwsCredentials
key, access, secret, endpoint = sys.argv[1:]
Secret(value=key).save("scale-api-key")
AwsCredentials(
    aws_access_key_id=access, aws_secret_access_key=secret, region_name="us-east-1",
    aws_client_parameters={"endpoint_url": endpoint},
).save("labels-bucket")
"""


def test_job_runs_with_keys_stored_only_in_prefect_blocks(tmp_path: Path, prefect_api: str) -> None:
    home = tmp_path / "home"
    write_manifest(tmp_path, 20)
    with running_in_process() as url, open_store("s3", tmp_path / "store") as store:
        given = store.environment
        keys = [given[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")]
        save = [sys.executable, "-c", SAVE, "test_command", *keys]
        subprocess.run(save, cwd=ROOT, env=environment(home, PREFECT_API_URL=prefect_api), check=True, timeout=120)
        job = {
            "scale": {"url": url, "key": "block:scale-api-key"},
            "s3": {"credentials": "block:labels-bucket"},
            "output": store.output("job"),
        }
        config = write_config(tmp_path, **job)
        outcome = run_command(config, home=home, PREFECT_API_URL=prefect_api, SCALE_API_KEY="")
        assert outcome.returncode == 0, outcome.stderr
        assert len(created_rows(url)) == 20
        secret = keys[1]
        assert secret not in outcome.stdout + outcome.stderr
        missing = write_config(tmp_path, **{**job, "scale": {"url": url, "key": "block:nowhere"}})
        refused = run_command(missing, home=home, PREFECT_API_URL=prefect_api, SCALE_API_KEY="")
        assert refused.returncode == 2
        assert "block:nowhere: the Prefect server has no Secret block with this name; create it" in refused.stderr
