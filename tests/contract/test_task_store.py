"""One suite over both places where checkpoints and outputs may live."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.runtime.checkpoint import Checkpoint
from tasks.runtime.directory_store import DirectoryStore
from tasks.runtime.failures import CannotWriteError, LockLostError, TemporaryError, WrongInputError
from tasks.runtime.locations import open_store
from tasks.runtime.publication import MANIFEST, publish, read_previous
from tasks.runtime.s3_store import S3Store
from tasks.runtime.store import ConditionFailedError, ObjectStore, Stored
from tests.support.lock_row import create_bucket
from tests.support.moto_server import MotoServer, moto_server

ABOUT = {"job": "nightly", "run": "r1", "step": "generate", "run_key": "2026-11-21T21:00:00Z"}


@pytest.fixture(scope="module")
def aws() -> Iterator[MotoServer]:
    with moto_server() as server:
        create_bucket(server.client("s3"), "artifacts")
        yield server


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    server: MotoServer = request.getfixturevalue("aws")
    return S3Store("artifacts", f"test-{uuid.uuid4().hex}", server.client("s3"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


class LosesReplies:
    """A store whose manifest writes arrive while their answers do not (as a retried request sees it)."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.location = store.location

    def write(self, key: str, body: bytes, *, if_match: str | None) -> str:
        self._store.write(key, body, if_match=if_match)
        return self._store.write(key, body, if_match=if_match)

    def read(self, key: str) -> Stored | None:
        return self._store.read(key)

    def fetch(self, key: str, path: Path) -> bool:
        return self._store.fetch(key, path)

    def upload(self, key: str, path: Path) -> None:
        self._store.upload(key, path)

    def keys(self, prefix: str) -> list[str]:
        return self._store.keys(prefix)

    def delete(self, keys: list[str]) -> None:
        self._store.delete(keys)


def manifest(store: ObjectStore) -> dict[str, object]:
    stored = store.read(MANIFEST)
    assert stored is not None
    members: dict[str, object] = json.loads(stored.body)
    return members


# -- the store itself


def test_a_conditional_write_wants_the_version_last_seen(store: ObjectStore) -> None:
    first = store.write("m.json", b"1", if_match=None)
    second = store.write("m.json", b"2", if_match=first)

    for stale in (None, first):
        with pytest.raises(ConditionFailedError):
            store.write("m.json", b"3", if_match=stale)
    assert store.read("m.json") == Stored(b"2", second)


def test_an_uploaded_part_is_never_changed(store: ObjectStore, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"one")
    other.write_bytes(b"other")

    store.upload("parts/a b/日本.xml", one)
    store.upload("parts/a b/日本.xml", other)

    assert store.fetch("parts/a b/日本.xml", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"one"
    assert store.keys("parts/") == ["parts/a b/日本.xml"]
    store.delete(["parts/a b/日本.xml", "parts/never"])
    assert store.keys("") == []
    assert store.read("parts/a b/日本.xml") is None
    assert not store.fetch("parts/a b/日本.xml", tmp_path / "none")


def test_a_bucket_that_is_not_there_is_said_in_one_line(aws: MotoServer, tmp_path: Path) -> None:
    gone = S3Store("no-such-bucket", "x", aws.client("s3"))

    with pytest.raises(CannotWriteError, match="NoSuchBucket"):
        gone.write("m", b"", if_match=None)


def test_an_endpoint_that_is_not_there_is_temporary() -> None:
    nowhere = MotoServer("http://127.0.0.1:9").client("s3")

    with pytest.raises(TemporaryError, match="Could not connect"):
        S3Store("artifacts", "x", nowhere).read("m")


def test_locations_are_read_strictly(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}/a%20b/").location == f"file://{tmp_path}/a%20b/"
    for wrong in ("", "http://example.com/", "s3:///key", "file://elsewhere/x"):
        with pytest.raises(WrongInputError, match="neither s3"):
            open_store(wrong)


# -- checkpoints


def test_a_checkpoint_is_restored_by_the_next_attempt(store: ObjectStore, tmp_path: Path) -> None:
    first = Checkpoint(store, _made(tmp_path / "1"), token=10)
    assert first.restore() == 0
    _put(tmp_path / "1" / "batches" / "0001.jsonl", "a\n")
    _put(tmp_path / "1" / "unfinished.tmp", "never")
    _put(tmp_path / "1" / ".hidden", "never")
    assert first.sync() == 1
    assert first.sync() == 0
    _put(tmp_path / "1" / "batches" / "0002.jsonl", "b\n")
    _put(tmp_path / "1" / "state", "1")
    assert first.sync() == 2
    _put(tmp_path / "1" / "state", "2")
    assert first.sync() == 1

    second = Checkpoint(store, _made(tmp_path / "2"), token=11)

    assert second.restore() == 3
    assert (tmp_path / "2" / "batches" / "0002.jsonl").read_text() == "b\n"
    assert (tmp_path / "2" / "state").read_text() == "2"
    assert second.sync() == 0
    (tmp_path / "2" / "state").unlink()
    second.sync()
    assert Checkpoint(store, _made(tmp_path / "3"), token=12).restore() == 2


def test_a_stale_holder_cannot_touch_the_checkpoint(store: ObjectStore, tmp_path: Path) -> None:
    old = Checkpoint(store, _made(tmp_path / "old"), token=10)
    old.restore()
    _put(tmp_path / "old" / "state", "old")
    old.sync()
    new = Checkpoint(store, _made(tmp_path / "new"), token=11)
    new.restore()
    _put(tmp_path / "old" / "state", "older than you think")

    with pytest.raises(LockLostError, match="another holder wrote the checkpoint"):
        old.sync()
    with pytest.raises(LockLostError, match="belongs to token 11, which is newer than ours"):
        Checkpoint(store, _made(tmp_path / "late"), token=10).restore()
    assert Checkpoint(store, _made(tmp_path / "next"), token=12).restore() == 1
    assert (tmp_path / "next" / "state").read_text() == "old"


def test_a_lost_reply_is_recognised_as_our_own_checkpoint(store: ObjectStore, tmp_path: Path) -> None:
    checkpoint = Checkpoint(LosesReplies(store), _made(tmp_path / "1"), token=10)
    checkpoint.restore()
    _put(tmp_path / "1" / "state", "1")
    checkpoint.sync()
    _put(tmp_path / "1" / "state", "2")
    checkpoint.sync()

    assert Checkpoint(store, _made(tmp_path / "2"), token=11).restore() == 1
    assert (tmp_path / "2" / "state").read_text() == "2"


def test_replaced_files_leave_nothing_behind(store: ObjectStore, tmp_path: Path) -> None:
    checkpoint = Checkpoint(store, _made(tmp_path / "1"), token=10)
    checkpoint.restore()
    for round_number in range(5):
        _put(tmp_path / "1" / "state", f"round {round_number}")
        checkpoint.sync()

    assert len(store.keys("files/")) == 1


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd"])
def test_a_manifest_cannot_write_outside_the_directory(store: ObjectStore, tmp_path: Path, name: str) -> None:
    hostile = {"schema_version": 1, "token": 1, "files": {name: {"key": "k", "sha256": "0", "size": 1}}}
    store.write("checkpoint.json", json.dumps(hostile).encode(), if_match=None)

    with pytest.raises(CannotWriteError, match="leads out of"):
        Checkpoint(store, _made(tmp_path / "1"), token=2).restore()


def test_something_else_in_the_place_of_the_manifest_is_not_overwritten(
    store: ObjectStore, tmp_path: Path, work: Path
) -> None:
    store.write("checkpoint.json", b'{"somebody": "else"}', if_match=None)
    store.write(MANIFEST, b"[1]", if_match=None)
    _put(work / "a", "1")

    with pytest.raises(CannotWriteError, match="not a checkpoint manifest"):
        Checkpoint(store, work, token=2).restore()
    with pytest.raises(CannotWriteError, match="not a manifest of ours"):
        publish(store, work, 1, ABOUT)


# -- publication


def test_a_reader_finds_every_part_of_the_published_manifest(store: ObjectStore, work: Path) -> None:
    _put(work / "sitemap.xml", "<index/>")
    _put(work / "state" / "seen.json", "{}")

    published = publish(store, work, 5, ABOUT)

    assert published is not None
    assert published.files == 2
    current = manifest(store)
    assert current["token"] == 5
    assert current["job"] == "nightly"
    for file in current["files"]:  # type: ignore[attr-defined]
        stored = store.read(file["key"])
        assert stored is not None
        assert len(stored.body) == file["size"]


def test_nothing_written_is_nothing_published(store: ObjectStore, work: Path) -> None:
    assert publish(store, work, 5, ABOUT) is None
    assert store.read(MANIFEST) is None


def test_a_stale_run_is_refused_and_changes_nothing(store: ObjectStore, work: Path) -> None:
    _put(work / "a", "new")
    publish(store, work, 7, ABOUT)
    before = store.keys("")
    _put(work / "a", "stale")

    with pytest.raises(LockLostError, match="published with token 7, newer than ours"):
        publish(store, work, 6, ABOUT)

    assert store.keys("") == before
    assert manifest(store)["token"] == 7


class PublishesFirst(LosesReplies):
    """A store in which a newer holder publishes at the worst moment: between our read and our write."""

    def __init__(self, store: ObjectStore, rival: Path) -> None:
        super().__init__(store)
        self._rival: Path | None = rival

    def write(self, key: str, body: bytes, *, if_match: str | None) -> str:
        if self._rival is not None:
            rival, self._rival = self._rival, None
            publish(self._store, rival, 9, ABOUT)
        return self._store.write(key, body, if_match=if_match)


def test_of_two_racing_publishers_the_higher_token_stays(
    store: ObjectStore, work: Path, tmp_path: Path
) -> None:
    _put(work / "a", "ours")
    _put(tmp_path / "rival" / "a", "theirs")

    with pytest.raises(LockLostError, match="token 9"):
        publish(PublishesFirst(store, tmp_path / "rival"), work, 8, ABOUT)

    assert manifest(store)["token"] == 9


def test_a_lower_rival_in_between_is_replaced(store: ObjectStore, work: Path, tmp_path: Path) -> None:
    _put(work / "a", "ours")
    _put(tmp_path / "rival" / "a", "theirs")

    publish(PublishesFirst(store, tmp_path / "rival"), work, 10, ABOUT)

    assert manifest(store)["token"] == 10


def test_a_lost_reply_is_recognised_as_our_own_publication(store: ObjectStore, work: Path) -> None:
    _put(work / "a", "1")

    publish(LosesReplies(store), work, 5, ABOUT)

    assert manifest(store)["token"] == 5


def test_old_generations_go_only_when_no_slow_reader_needs_them(store: ObjectStore, work: Path) -> None:
    kept = []
    for token in range(1, 6):
        _put(work / "a", f"night {token}")
        published = publish(store, work, token, ABOUT)
        assert published is not None
        kept.append(published.generation)

    assert {key.rpartition("/")[0] + "/" for key in store.keys("parts/")} == set(kept[-3:])


def test_the_next_run_gets_what_the_last_one_left_for_it(
    store: ObjectStore, work: Path, tmp_path: Path
) -> None:
    assert read_previous(store, tmp_path / "p0") == 0
    _put(work / "report.html", "<p>")
    _put(work / "state" / "etags" / "1.json", "{}")
    publish(store, work, 5, ABOUT)

    assert read_previous(store, tmp_path / "p1") == 1
    assert (tmp_path / "p1" / "etags" / "1.json").read_text() == "{}"


def _made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _put(path: Path, text: str) -> None:
    """As the contract wants it: written beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_text(text)
    beside.rename(path)
