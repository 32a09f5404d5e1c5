"""missing-images in shards by host: a plan, a container for each shard, one report like the single job's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.contract import exit_codes
from tasks.jobs.articles.picture_shards import Bucket, bucket_of, plan
from tasks.jobs.program import JobError
from tests.support.picture_site import ROOT, Checks, picture_server, pictures

pytestmark = pytest.mark.slow

PNG, JPEG = "_images/project.png", "_images/camera_rgb.jpg"
NIGHT = {"NIGHTLATCH_SCHEDULED_TIME": "2026-11-22T23:00:00Z"}
FILES = ("missing-images.csv", "missing-images.html", "missing-images.json", "state/since.json")


class Night:
    """The containers of one night in shards, without the runtime around them."""

    def __init__(self, checks: Checks) -> None:
        self.checks = checks
        self.plan_folder = checks.folder / "plan"
        self.shards = checks.folder / "shards"
        self.report = checks.folder / "report"

    def program(self, name: str, *options: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", f"tasks.jobs.articles.{name}"),
                *("--database", self.checks.database, *options),
            ],
            cwd=ROOT,
            env={**os.environ, **NIGHT, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=100,
        )
        return done.returncode, done.stdout

    def plan(self, *options: str) -> list[dict[str, int]]:
        code, text = self.program("missing_images_plan", "--output", str(self.plan_folder), *options)
        assert code == 0, text
        planned: list[dict[str, int]] = json.loads((self.plan_folder / "shards.json").read_text())
        return planned

    def work(self, shards: list[dict[str, int]], *, failed: tuple[int, ...] = ()) -> None:
        told: list[dict[str, Any]] = []
        for index, shard in enumerate(shards):
            output = self.shards / str(index)
            if index not in failed:
                code, text = self.program(
                    "missing_images",
                    *("--output", str(output), "--timeout", "2", "--allow", "127.0.0.0/8"),
                    NIGHTLATCH_SHARD=json.dumps(shard),
                    NIGHTLATCH_SHARD_INDEX=str(index),
                )
                assert code == 0, text
                assert f"{shard['pictures']} pictures checked" in text
            files = sorted(path.name for path in output.iterdir()) if output.is_dir() else []
            told.append({"index": index, "shard": shard, "published": bool(files), "files": files})
        (self.shards / "shards.json").write_text(json.dumps(told))

    def collect(self, *options: str) -> str:
        code, text = self.program(
            "missing_images_collect",
            *("--output", str(self.report), *options),
            NIGHTLATCH_SHARDS_DIR=str(self.shards),
        )
        assert code == 0, text
        return text


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(Checks(tmp_path))


def findings(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "findings.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "checked"} for line in lines]


def test_the_report_of_the_shards_is_that_of_the_single_job(night: Night, tmp_path: Path) -> None:
    with picture_server("", "--hosts", "9") as url:
        sites = [url.replace("127.0.0.1", f"127.0.0.{number}") for number in range(1, 10)]
        names = [PNG, f"kinds/gone/{PNG}", f"kinds/truncated/{JPEG}", f"kinds/redirect/{JPEG}"]
        bodies = [pictures([f"{site}{name}?日本" for name in names]) for site in sites]
        everything = pictures([f"{site}{names[1]}?日本" for site in sites] + ["http://[bad/a.png"])
        night.checks.write_articles(*bodies, everything)
        before = {f"{sites[0]}{names[1]}?%E6%97%A5%E6%9C%AC": {"since": "2026-11-01", "checks": 3}}
        previous = tmp_path / "previous"
        previous.mkdir()
        (previous / "since.json").write_text(json.dumps(before))

        shards = night.plan("--most-shards", "4", "--pictures", "1")
        night.work(shards)
        night.collect("--previous", str(previous))
        code, text = night.checks.run(
            *("--timeout", "2", "--allow", "127.0.0.0/8", "--previous", str(previous)), environment=NIGHT
        )
        assert code == 0, text

    assert 2 <= len(shards) <= 4
    assert sum(shard["pictures"] for shard in shards) == 9 * 4
    single = tmp_path / "output"
    for name in FILES:
        assert (night.report / name).read_bytes() == (single / name).read_bytes(), name
    assert findings(night.report) == findings(single)
    summary = json.loads((night.report / "missing-images.json").read_text())
    assert summary["verdicts"] == {"gone": 9, "ok": 9, "redirected": 9, "truncated": 9, "bad_url": 1}
    assert (summary["new"], summary["bad_before"]) == (18, 1)
    assert "data:image/jpeg;base64," in (night.report / "missing-images.html").read_text()


def test_the_three_steps_meet_under_the_runtime(night: Night, tmp_path: Path) -> None:
    here, listed = f"file://{tmp_path}/store", f"file://{tmp_path}/store/lists/plan.json"

    def step(name: str, output: str, *options: str, **told: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tasks", "run", name, "--database", night.checks.database, *options],
            cwd=ROOT,
            env={**os.environ, "NIGHTLATCH_OUTPUT": f"{here}/{output}/", **told},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stdout

    with picture_server("", "--hosts", "4") as url:
        sites = [url.replace("127.0.0.1", f"127.0.0.{number}") for number in range(1, 5)]
        night.checks.write_articles(pictures([site + f"kinds/gone/{PNG}" for site in sites]))
        step("missing-images-plan", "plan", "--pictures", "1", NIGHTLATCH_SHARD_LIST=listed)
        shards = json.loads((tmp_path / "store" / "lists" / "plan.json").read_text())
        for index, shard in enumerate(shards):
            told = {"NIGHTLATCH_SHARD": json.dumps(shard), "NIGHTLATCH_SHARD_INDEX": str(index)}
            step("missing-images", f"check/{index}", "--allow", "127.0.0.0/8", **told)
        collect = {"NIGHTLATCH_COLLECT": f"{here}/check/", "NIGHTLATCH_COLLECT_LIST": listed}
        step("missing-images-collect", "collect", **collect)

    (report,) = (tmp_path / "store" / "collect").rglob("missing-images.json")
    assert json.loads(report.read_text())["verdicts"] == {"gone": 4}
    assert len(shards) >= 2


def test_what_a_failed_shard_did_not_look_at_is_neither_mended_nor_forgotten(
    night: Night, tmp_path: Path
) -> None:
    with picture_server("", "--hosts", "6") as url:
        urls = [url.replace("127.0.0.1", f"127.0.0.{number}") + PNG for number in range(1, 7)]
        night.checks.write_articles(pictures(urls))
        previous = tmp_path / "previous"
        previous.mkdir()
        was_bad = {"since": "2026-11-01", "checks": 3}
        (previous / "since.json").write_text(json.dumps(dict.fromkeys(urls, was_bad)))
        shards = night.plan("--most-shards", "3", "--pictures", "1")
        night.work(shards, failed=(0,))

        text = night.collect("--previous", str(previous))

    lost = shards[0]["pictures"]
    assert f"{lost} pictures were not checked: there is no result of shards 0" in text
    summary = json.loads((night.report / "missing-images.json").read_text())
    assert (summary["checked"], summary["mended"], summary["bad"]) == (6 - lost, 6 - lost, 0)
    kept = json.loads((night.report / "state" / "since.json").read_text())
    assert list(kept.values()) == [was_bad] * lost


def test_a_collecting_step_without_shards_is_wrong_input(night: Night, tmp_path: Path) -> None:
    night.checks.write_articles(pictures([]))

    code, text = night.program("missing_images_collect", "--shards", str(tmp_path))
    assert (code, "comes after a fan-out" in text) == (exit_codes.WRONG_INPUT, True), text
    code, text = night.program("missing_images_collect")
    assert (code, "NIGHTLATCH_SHARDS_DIR is not set" in text) == (exit_codes.WRONG_INPUT, True), text
    assert night.plan() == []


# -- dealing out


@pytest.mark.parametrize(
    "text", ["", "{}", '"a"', '{"bucket": 4, "of": 4}', '{"bucket": -1, "of": 4}', '{"bucket": "x", "of": 1}']
)
def test_a_shard_of_somebody_else_is_refused(text: str) -> None:
    with pytest.raises(JobError, match="missing-images-plan"):
        Bucket.read(text)


def test_every_host_is_in_one_shard_and_no_shard_is_empty() -> None:
    hosts = {f"h{number}.example": number for number in range(1, 200)}

    shards = plan(hosts, 16)

    buckets = [Bucket.read(json.dumps(shard)) for shard in shards]
    assert {sum(bucket.has(host) for bucket in buckets) for host in hosts} == {1}
    assert sum(shard["pictures"] for shard in shards) == sum(hosts.values())
    assert [shard["pictures"] for shard in shards] == sorted(
        (shard["pictures"] for shard in shards), reverse=True
    )
    assert plan({"one.example": 7}, 16) == [{"bucket": bucket_of("one.example", 16), "of": 16, "pictures": 7}]
    assert not any(bucket.has("") for bucket in buckets)
    assert bucket_of("www.example.com", 1000) == 723, "another number would divide a run between two releases"
