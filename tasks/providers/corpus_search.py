"""Full text search over a folder of files, in SQLite's FTS5: no network, no service.

The words are cut by `words_of` before they reach FTS5, because its own tokenizers either take a whole
Japanese sentence for one word (unicode61) or find nothing shorter than three characters (trigram).
"""

import asyncio
import contextlib
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tasks.providers.chat import Closing, ProviderError, SettingsError
from tasks.providers.passages import HTML, TEXT, passages_of
from tasks.providers.search import Found
from tasks.providers.words import words_of

_MOST_FILES: Final = 50_000
_LARGEST_FILE: Final = 8 * 1024 * 1024
# Words of a query that are looked for; a whole page as a query would be slow and find everything.
_MOST_WORDS: Final = 40
# Of one file not more than this: a hands-on should not lean on one page alone.
_OF_ONE_FILE: Final = 2
_S3: Final = "s3://"
# How often SQLite asks whether the time is over, in its own instructions.
_INSTRUCTIONS: Final = 10_000

_SCHEMA: Final = """
CREATE TABLE passages (id INTEGER PRIMARY KEY, address TEXT, title TEXT, text TEXT);
CREATE VIRTUAL TABLE words USING fts5(title, text, content='', tokenize="unicode61 remove_diacritics 0");
"""
# A word in the title or heading counts like three in the text.
_FIND: Final = """
SELECT passages.address, passages.title, passages.text, -bm25(words, 3.0, 1.0) AS score
FROM words JOIN passages ON passages.id = words.rowid
WHERE words MATCH ? ORDER BY score DESC, passages.id LIMIT ?
"""


class CorpusSearch(Closing):
    """The files under a folder or ``s3://bucket/prefix/``, indexed at the first question."""

    def __init__(self, corpus: str) -> None:
        if not corpus.startswith(_S3) and not Path(corpus).is_dir():
            raise SettingsError(f"SEARCH_CORPUS={corpus!r} is no folder")
        self._corpus = corpus
        self._database: sqlite3.Connection | None = None
        self._build = asyncio.Lock()
        self._one_at_a_time = threading.Lock()
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """Engine and what it searches."""
        return f"corpus {self._corpus}"

    async def find(self, query: str, *, limit: int, deadline_seconds: float) -> list[Found]:
        """Search once; see `Search`. The deadline does not include indexing, which happens once."""
        async with self._build:
            if self._database is None:
                self._database = await asyncio.to_thread(self._index)
        return await asyncio.to_thread(self._find, self._database, query, limit, deadline_seconds)

    async def close(self) -> None:
        """End indexing, if that is under way."""
        self._closed.set()

    def _find(
        self, database: sqlite3.Connection, query: str, limit: int, deadline_seconds: float
    ) -> list[Found]:
        words = list(dict.fromkeys(words_of(query)))[:_MOST_WORDS]
        if not words:
            return []
        match = " OR ".join(f'"{word}"' for word in words)
        over = time.monotonic() + deadline_seconds
        with self._one_at_a_time:
            database.set_progress_handler(lambda: time.monotonic() > over, _INSTRUCTIONS)
            try:
                rows = database.execute(_FIND, (match, limit * 8)).fetchall()
            except sqlite3.OperationalError as error:
                if time.monotonic() <= over:
                    raise
                raise ProviderError("timeout", f"no result within {deadline_seconds:g} s: {error}") from None
        return _varied([Found(title, address, text, score) for address, title, text, score in rows], limit)

    def _index(self) -> sqlite3.Connection:
        database = sqlite3.connect(":memory:", check_same_thread=False)
        database.executescript(_SCHEMA)
        with contextlib.ExitStack() as stack:
            folder = self._folder(stack)
            count = 0
            for path in _files(folder):
                if self._closed.is_set():
                    raise ProviderError("unreachable", "the search was closed while it read the corpus")
                address = path.relative_to(folder).as_posix()
                for passage in passages_of(path):
                    count += 1
                    title = f"{passage.title}: {passage.heading}" if passage.heading else passage.title
                    database.execute(
                        "INSERT INTO passages VALUES (?, ?, ?, ?)", (count, address, title, passage.text)
                    )
                    database.execute(
                        "INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)",
                        (count, " ".join(words_of(title)), " ".join(words_of(passage.text))),
                    )
        if not count:
            kinds = ", ".join(sorted(TEXT | HTML))
            raise ProviderError("bad_request", f"there is no text in {self._corpus} (read are {kinds})")
        return database

    def _folder(self, stack: contextlib.ExitStack) -> Path:
        if not self._corpus.startswith(_S3):
            return Path(self._corpus)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corpus-")))
        _bring(self._corpus, folder, self._closed)
        return folder


def _varied(found: list[Found], limit: int) -> list[Found]:
    """The best, but of one file only a few as long as there are others."""
    taken: dict[str, int] = {}
    first: list[Found] = []
    later: list[Found] = []
    for one in found:
        taken[one.address] = taken.get(one.address, 0) + 1
        (first if taken[one.address] <= _OF_ONE_FILE else later).append(one)
    return (first + later)[:limit]


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in HTML | TEXT and path.is_file() and path.stat().st_size <= _LARGEST_FILE:
            count += 1
            if count > _MOST_FILES:
                raise ProviderError("bad_request", f"{folder} has more than {_MOST_FILES} files")
            yield path


def _bring(location: str, folder: Path, closed: threading.Event) -> None:
    """Fetch the texts under ``s3://bucket/prefix/``."""
    import boto3  # noqa: PLC0415  (only for a corpus that lies in S3)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (the same)

    bucket, _, prefix = location.removeprefix(_S3).partition("/")
    client = boto3.client("s3")
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                name = entry["Key"].removeprefix(prefix).lstrip("/")
                wanted = Path(name).suffix.lower() in HTML | TEXT and ".." not in Path(name).parts
                if not wanted or entry["Size"] > _LARGEST_FILE:
                    continue
                if closed.is_set():
                    return
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, entry["Key"], str(path))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        wrong = code in {"NoSuchBucket", "AccessDenied", "InvalidBucketName"}
        raise ProviderError("bad_request" if wrong else "unreachable", f"{location}: {code}") from None
    except BotoCoreError as error:
        raise ProviderError("unreachable", f"{location}: {error}") from None
