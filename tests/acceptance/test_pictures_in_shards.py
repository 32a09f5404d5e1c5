"""missing-images dealt out by host: plan, a container for each shard, one report, over the local AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Installation
from tests.support.picture_site import Checks, asked, picture_server, pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

PNG, JPEG = "_images/project.png", "_images/camera_rgb.jpg"
NAMES = [PNG, f"kinds/gone/{PNG}", f"kinds/truncated/{JPEG}", f"kinds/redirect/{JPEG}"]
HOSTS = 6


class Site(Installation):
    """An installation with the job as docs/jobs/missing-images.md shows it, in small."""

    def add_pictures(self) -> None:
        told = {
            "ARTICLES_URL": f"sqlite:///{self.root}/articles.sqlite",
            "ARTICLES_ALLOW_HOSTS": "127.0.0.0/8",
        }
        fan_out = {
            "shards_from": "plan",
            "shard_timeout_minutes": 2,
            "max_concurrency": 2,
            "tolerated_failure_percentage": 5,
        }
        plan = ["missing-images-plan", "--pictures=8"]
        self.add_job(
            "missing-images",
            {"name": "plan", "command": plan, "timeout_minutes": 2, "environment": told},
            {
                "name": "check",
                "command": ["missing-images", "--timeout=2"],
                "timeout_minutes": 5,
                "environment": told,
                "fan_out": fan_out,
            },
            {
                "name": "collect",
                "command": ["missing-images-collect"],
                "timeout_minutes": 2,
                "environment": told,
            },
        )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with picture_server("", "--hosts", str(HOSTS)) as url:
        yield url


def bodies(server: str) -> list[str]:
    """Articles, each about the pictures of a host, and all about one: it is still checked once."""
    hosts = [server.replace("127.0.0.1", f"127.0.0.{number}") for number in range(1, HOSTS + 1)]
    return [pictures([host + name for name in NAMES] + [hosts[0] + PNG]) for host in hosts]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Site]:
    built = Site(tmp_path_factory.mktemp("site"))
    Checks(built.root).write_articles(*bodies(server))
    built.add_pictures()
    built.up()
    yield built
    built.down()


def test_shards_check_every_picture_once_and_make_one_report(site: Site, server: str) -> None:
    run = site.cli("run", "missing-images", "--wait").stdout.splitlines()[0]

    (fan_out,) = site.cli_json("show", run)["fan_outs"]
    assert fan_out["shards"] == fan_out["succeeded"] >= 2
    report = site.output("missing-images", "collect")
    summary = json.loads(report["missing-images.json"])
    assert summary["verdicts"] == dict.fromkeys(("gone", "ok", "redirected", "truncated"), HOSTS)
    assert (summary["articles"], summary["bad"], summary["new"]) == (HOSTS, 2 * HOSTS, 2 * HOSTS)
    found = [json.loads(line) for line in report["findings.jsonl"].splitlines()]
    assert len({finding["url"] for finding in found}) == len(found) == HOSTS * len(NAMES)
    assert "記事 6" in report["missing-images.html"].decode()
    # Asked for once: a redirect takes two requests, and nothing takes more than three.
    assert asked(server)["requests"] <= 3 * len(found)
    for shard in range(fan_out["shards"]):
        assert "pictures checked" in site.cli("logs", run, "--shard", str(shard)).stdout
    assert site.lock_is_free("missing-images")


def test_the_next_night_knows_what_was_bad_before(site: Site, server: str) -> None:
    Checks(site.root).write_articles("<p>nothing here any more</p>", *bodies(server)[1:])

    site.cli("run", "missing-images", "--wait")

    summary = json.loads(site.output("missing-images", "collect")["missing-images.json"])
    # The first article has other text now, so the two bad pictures of its host are out of the way.
    assert (summary["new"], summary["bad_before"]) == (0, 2 * HOSTS)
    assert (summary["bad"], summary["mended"]) == (2 * HOSTS - 2, 2)
