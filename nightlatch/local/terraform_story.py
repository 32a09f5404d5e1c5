"""``python -m nightlatch.local.terraform_story``: Terraform on this machine, from plan to destroy.

Starts a local AWS of its own, applies ``terraform/examples/complete`` to it, runs a job by hand and by its
schedule on what Terraform made, and takes everything down again, all of it in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nightlatch.local.terraform import TerraformError
from nightlatch.local.terraform_apply import LocalApply

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]

JOBS = """\
environments: [local]
defaults:
  image: nightlatch
  schedule: { timezone: Asia/Tokyo, max_lateness_minutes: 60 }
  lock: { on_conflict: skip, max_wait_minutes: 60, max_waiters: 1 }
  step:
    cpu: 256
    memory: 512
    stop_grace_seconds: 10
    environment: {}
    retry: { launch: 5, infrastructure: 1, spot: 0, start: 1, out_of_memory: 0, timeout: 0, exit: 0 }
    retry_wait: { first_seconds: 1, rate: 2, max_seconds: 10 }
jobs:
  greeting:
    description: Says what it was told
    schedule: { cron: "cron(0 6 * * ? *)", alert_after_minutes: 60 }
    lock: { key: greeting }
    steps:
      - name: say
        command: ["--", sh, -c, 'echo "token $NIGHTLATCH_TOKEN, time ${NIGHTLATCH_SCHEDULED_TIME:-none}"']
        timeout_minutes: 1
"""
SCHEDULED = "2027-01-31T21:00:00Z"
_ENDED_SECONDS = 60


def main() -> int:
    """Play the story; 0 when every step went as it should."""
    parser = argparse.ArgumentParser(prog="python -m nightlatch.local.terraform_story", description=__doc__)
    parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightlatch-terraform-") as scratch:
        folder = Path(scratch)
        jobs_file = folder / "jobs.yaml"
        jobs_file.write_text(JOBS, encoding="utf-8")
        try:
            with _local_aws(folder, jobs_file) as endpoint:
                _play(LocalApply(PROJECT, folder, endpoint, jobs_file), endpoint, folder, jobs_file)
        except (TerraformError, StoryError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


class StoryError(Exception):
    """A step of the story did not go as it should."""


def _play(apply: LocalApply, endpoint: str, folder: Path, jobs_file: Path) -> None:
    _tell("terraform init")
    apply.init()
    _tell("terraform plan")
    plan = apply.plan()
    _tell(next(line for line in reversed(plan.splitlines()) if line.startswith("Plan:")))
    _tell("terraform apply (a minute, most of it the provider's own waiting)")
    _tell(apply.apply())
    _tell("terraform plan, once more")
    if again := apply.plan():
        raise StoryError(f"the second plan is not empty:\n{again}")
    _tell("No changes.")

    _tell("nightlatch run greeting --wait")
    _nightlatch(folder, jobs_file, "run", "greeting", "--wait")
    _tell(f"the schedule fires for {SCHEDULED}")
    _fire(endpoint, "greeting")
    _until_scheduled_run_ended(folder, jobs_file)
    _tell("nightlatch logs greeting")
    _nightlatch(folder, jobs_file, "logs", "greeting")
    _tell("nightlatch history greeting")
    _nightlatch(folder, jobs_file, "history", "greeting")

    _tell("terraform destroy")
    _tell(apply.destroy())


@contextmanager
def _local_aws(folder: Path, jobs_file: Path) -> Iterator[str]:
    state = folder / "state"
    up = ("local", "up", "--detach", "--no-provision", "--port", "0")
    _nightlatch(folder, jobs_file, *up, quiet=True)
    try:
        yield json.loads((state / "endpoint.json").read_text(encoding="utf-8"))["url"]
    finally:
        _nightlatch(folder, jobs_file, "local", "down", quiet=True)


def _nightlatch(folder: Path, jobs_file: Path, *words: str, quiet: bool = False) -> str:
    """The command as an operator has it, in a process of its own and away from any real account."""
    kept = {key: it for key, it in os.environ.items() if not key.startswith(("AWS_", "NIGHTLATCH_"))}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("nightlatch")), *words],
        env={**kept, "NIGHTLATCH_STATE": str(folder / "state"), "NIGHTLATCH_FILE": str(jobs_file)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StoryError(f"nightlatch {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    if not quiet:
        sys.stdout.write("".join(f"    {line}\n" for line in done.stdout.splitlines()))
        sys.stdout.flush()
    return done.stdout


def _fire(endpoint: str, schedule: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - the endpoint that we started
        f"{endpoint}/_nightlatch/schedules/nightlatch-local/{schedule}/fire",
        data=json.dumps({"scheduled_time": SCHEDULED}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - the same
        pass


def _until_scheduled_run_ended(folder: Path, jobs_file: Path) -> None:
    give_up = time.monotonic() + _ENDED_SECONDS
    while time.monotonic() < give_up:
        if SCHEDULED in _nightlatch(folder, jobs_file, "history", "greeting", "-o", "json", quiet=True):
            return
        time.sleep(0.5)
    raise StoryError(f"the scheduled run did not end within {_ENDED_SECONDS} seconds")


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
