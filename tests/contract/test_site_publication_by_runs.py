"""Two nights of the jobs in containers: what the site's bucket has, and who may not write to it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.contract import exit_codes, variables
from tasks.jobs.articles.corpus import Page
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.load_articles import load
from tasks.jobs.articles.site_store import S3Site
from tests.support.container import RUN, Container, Site
from tests.support.lock_row import create_bucket, create_lock_table, metadata_endpoint
from tests.support.moto_server import MotoServer, moto_server

pytestmark = pytest.mark.slow

SITE = "https://www.example.com/"
TIME = datetime(2026, 11, 21, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def aws() -> Iterator[MotoServer]:
    with moto_server() as server:
        create_lock_table(server.client("dynamodb"))
        for bucket in ("artifacts", "site"):
            create_bucket(server.client("s3"), bucket)
        yield server


@pytest.fixture
def nightly(aws: MotoServer, tmp_path: Path) -> Iterator[Site]:
    with metadata_endpoint() as metadata:
        yield Site(aws, metadata, tmp_path)


def run(
    nightly: Site, tmp_path: Path, grant: str, fence: int, *job: str, replaced: bool = False
) -> Container:
    nightly.hold(grant, fence)
    environment = nightly.environment(grant=grant, ARTICLES_URL=f"sqlite:///{tmp_path}/articles.sqlite")
    if replaced:
        # The job as it would go on in a container that was paused: its token is one that was given long ago.
        token = {variables.TOKEN: str(fence), variables.OUTPUT_DIR: str(tmp_path / "output")}
        words = [RUN[0], "-m", f"tasks.jobs.articles.{job[0].replace('-', '_')}", *job[1:]]
        return Container(words, {**environment, **token}, tmp_path)
    return Container([*RUN, *job], environment, tmp_path)


@pytest.mark.parametrize(
    ("job", "entrance"), [("sitemap-refresh", "sitemap.xml"), ("xml-articles", "articles.atom.xml")]
)
def test_the_sites_bucket_has_the_newest_night_and_no_run_that_was_replaced(
    nightly: Site, aws: MotoServer, tmp_path: Path, job: str, entrance: str
) -> None:
    site = S3Site("site", job, aws.client("s3"))
    publish = (job, "--publish", f"s3://site/{job}/")
    engine = open_database(f"sqlite:///{tmp_path}/articles.sqlite")
    load(engine, [Page(SITE + "五月", "題", "<p>", TIME, TIME, "1")], TIME)

    first = run(nightly, tmp_path, "g1", 1000, *publish)
    assert first.wait() == 0, first.text
    load(engine, [Page(SITE + "六月", "題", "<p>", TIME, TIME, "2")], TIME)
    second = run(nightly, tmp_path, "g2", 2000, *publish)
    assert second.wait() == 0, second.text
    published = site.names(), site.read(entrance)
    replaced = run(nightly, tmp_path, "g3", 1500, *publish, replaced=True)

    assert replaced.wait() == exit_codes.TRY_AGAIN, replaced.text
    assert "token 2001, newer than ours (1500): this run has been replaced" in replaced.text
    assert (site.names(), site.read(entrance)) == published
    assert published[1] is not None
    assert b"<!-- nightlatch token 2001 " in published[1].body
    [state] = [body for name, body in nightly.published().items() if name.startswith("state/")]
    assert len(json.loads(state)["retired"]) == (1 if job == "sitemap-refresh" else 0)
    engine.dispose()
