"""What is finished is on the disk before anybody hears of it, and comes back from there."""

import asyncio
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.jobs.generation.handson.finished import (
    FOLDER,
    STATE,
    Finished,
    Record,
    Source,
    read_finished,
    write_state,
)


def record(number: int, output: object = "text") -> Record:
    return Record(
        key=f"k{number}",
        project="p",
        task=f"t{number}",
        output=output,
        seconds=1.5,
        sources=(Source(1, "題", "a.md"), Source(2, "b", "#b")),
    )


def test_a_record_is_there_when_write_returns_and_comes_back_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        finished = Finished(tmp_path)
        for number in range(3):
            await finished.write(record(number, {"a": [1, "手順"]}))
            assert read_finished(tmp_path)[f"k{number}"] == record(number, {"a": [1, "手順"]})

    asyncio.run(main())
    assert len(read_finished(tmp_path)) == 3


def test_records_of_one_moment_share_a_write_and_each_waits_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        finished = Finished(tmp_path)

        async def one(number: int) -> None:
            await finished.write(record(number))
            assert f"k{number}" in read_finished(tmp_path)

        await asyncio.gather(*(one(number) for number in range(50)))

    asyncio.run(main())
    files = list((tmp_path / FOLDER).iterdir())
    assert 1 <= len(files) <= 3
    assert len(read_finished(tmp_path)) == 50


def test_files_are_never_changed_and_later_ones_win(tmp_path: Path) -> None:
    async def write(text: str) -> None:
        await Finished(tmp_path).write(record(1, text))

    asyncio.run(write("first"))
    [before] = (tmp_path / FOLDER).iterdir()
    content = before.read_bytes()
    asyncio.run(write("second"))

    assert before.read_bytes() == content
    assert read_finished(tmp_path)["k1"].output == "second"


def test_a_cancelled_writer_is_still_settled(tmp_path: Path) -> None:
    async def main() -> None:
        finished = Finished(tmp_path)
        writing = asyncio.create_task(finished.write(record(1)))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await finished.settled()

    asyncio.run(main())
    assert "k1" in read_finished(tmp_path)


def test_what_cannot_be_written_is_an_error_for_everybody_who_waits(tmp_path: Path) -> None:
    async def main() -> list[BaseException | None]:
        finished = Finished(tmp_path)
        folder = tmp_path / FOLDER
        folder.rmdir()
        folder.write_text("in the way")
        writes = (finished.write(record(number)) for number in range(2))
        return await asyncio.gather(*writes, return_exceptions=True)

    errors = asyncio.run(main())

    assert [isinstance(error, OSError) for error in errors] == [True, True]


def test_damaged_and_half_written_files_cost_only_their_own_tasks(tmp_path: Path) -> None:
    asyncio.run(Finished(tmp_path).write(record(1)))
    folder = tmp_path / FOLDER
    (folder / "00000002.json").write_text('{"schema_version": 1, "records": [{"key"')
    (folder / "00000003.json").write_text('{"schema_version": 1, "records": [{"key": "k3"}]}')
    (folder / "00000004.json").write_text('{"schema_version": 99, "records": []}')
    (folder / "00000005.json").write_bytes(b"\xff\x00")
    (folder / "00000006.json.tmp").write_text("{")
    asyncio.run(Finished(tmp_path).write(record(7)))

    assert set(read_finished(tmp_path)) == {"k1", "k7"}
    assert (folder / "00000007.json").exists()


def test_a_file_whose_renaming_was_undone_by_a_crash_counts(tmp_path: Path) -> None:
    asyncio.run(Finished(tmp_path).write(record(1, "first")))
    [path] = (tmp_path / FOLDER).iterdir()
    path.rename(path.with_name(path.name + ".tmp"))

    assert read_finished(tmp_path)["k1"].output == "first"
    asyncio.run(Finished(tmp_path).write(record(1, "second")))
    assert read_finished(tmp_path)["k1"].output == "second"


def test_the_state_for_the_next_run_is_one_file(tmp_path: Path) -> None:
    write_state(tmp_path, [record(1), record(2)])

    assert os.listdir(tmp_path) == [STATE]  # noqa: PTH208  (the names are the point)
    assert set(read_finished(tmp_path)) == {"k1", "k2"}
    assert json.loads((tmp_path / STATE).read_text())["schema_version"] == 1


def test_whoever_takes_the_files_away_meanwhile_finds_only_whole_ones(tmp_path: Path) -> None:
    finished, over, seen = Finished(tmp_path), threading.Event(), list[str]()

    def take_away() -> None:
        while not over.is_set():
            for path in (tmp_path / FOLDER).glob("*.json"):
                seen.append(json.loads(path.read_bytes())["records"][0]["key"])

    async def main() -> None:
        for number in range(15):
            await finished.write(record(number, "x" * 2_000_000))

    taker = ThreadPoolExecutor(1).submit(take_away)
    asyncio.run(main())
    over.set()

    assert taker.result() is None
    assert set(seen) <= {f"k{number}" for number in range(15)}
    assert len(seen) > 15
