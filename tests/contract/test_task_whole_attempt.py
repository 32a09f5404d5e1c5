"""The picture check under the runtime, as a night runs it: claim, checkpoint in S3, kill, go on, publish."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.container import RUN, Container, Site
from tests.support.lock_row import create_bucket, create_lock_table, metadata_endpoint
from tests.support.moto_server import moto_server
from tests.support.picture_site import Checks, picture_server, pictures

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with moto_server() as aws, metadata_endpoint() as metadata:
        create_lock_table(aws.client("dynamodb"))
        create_bucket(aws.client("s3"), "artifacts")
        yield Site(aws, metadata, tmp_path)


def test_containers_killed_at_random_lose_at_most_seconds_and_the_report_is_whole(
    site: Site, tmp_path: Path
) -> None:
    checks = Checks(tmp_path)
    chance = random.Random(7)

    def attempt(number: int, *options: str) -> Container:
        site.hold(f"g{number}", fence=1000 + 10 * number)
        command = [*RUN, "missing-images", "--database", checks.database, "--allow", "127.0.0.1", *options]
        environment = site.environment(grant=f"g{number}", task=f"t{number}")
        return Container(command, environment, tmp_path)

    with picture_server("", "--slow", "1") as url:
        urls = [f"{url}kinds/slow/_images/project.png?{number}" for number in range(60)]
        checks.write_articles(pictures([*urls, f"{url}kinds/gone/_images/project.png"]))
        for number in (1, 2):
            # Two at a time, one second each: nobody finishes before being killed.
            killed = attempt(number, "--per-host", "2")
            files = len(site.checkpointed())
            killed.until(lambda files=files: len(site.checkpointed()) > files)
            time.sleep(chance.uniform(0, 1))
            os.killpg(killed.process.pid, signal.SIGKILL)
            killed.wait()
            assert not killed.records("finished")

        last = attempt(3)
        assert last.wait(60) == 0, last.text

    assert "going on after" in last.text
    published = site.published()
    findings = [json.loads(line) for line in published["findings.jsonl"].decode().splitlines()]
    assert {finding["url"] for finding in findings if finding["verdict"] == "ok"} == set(urls)
    assert json.loads(published["missing-images.json"])["bad"] == 1
    assert last.records("finished")[0]["done"] == 61

    # The next night knows what was bad before.
    site.checkpoint += "next/"
    with picture_server("", "--slow", "0") as url:
        checks.write_articles(pictures([f"{url}_images/project.png"]))
        assert attempt(4).wait(60) == 0
    assert json.loads(site.published()["missing-images.json"])["mended"] == 1
