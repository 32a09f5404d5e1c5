"""What an attempt finds in its directories before it works, and what becomes of its output afterwards."""

from typing import TYPE_CHECKING

from tasks.contract import Assignment

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from tasks.runtime.directories import Directories
    from tasks.runtime.publication import Published
    from tasks.runtime.store import ObjectStore


class Exchange:
    """Brings and publishes files for one attempt, under `token`."""

    def __init__(self, told: Assignment, token: int, log: "FilteringBoundLogger") -> None:
        self._told = told
        self._token = token
        self._log = log
        self._store = _open_output(told)

    def is_done(self) -> bool:
        """Whether there is nothing to do: the shard was published before."""
        if self._store is None or not self._told.verify:
            return False
        from tasks.runtime.shards import is_published  # noqa: PLC0415  (only in a fan-out)

        if not is_published(self._store):
            return False
        self._log.info("this shard is published already", location=self._store.location)
        return True

    def bring(self, directories: "Directories") -> None:
        """Fetch what the job starts from: the last generation's state, and what shards published.

        Raises:
            TemporaryError, CannotWriteError: from the store.
        """
        told = self._told
        if directories.shards is not None:
            from tasks.runtime.shards import collect  # noqa: PLC0415  (only after a fan-out)

            found = collect(told.collect_list, told.collect, directories.shards)
            self._log.info("shards collected", shards=found.shards, published=found.published)
        if self._store is not None and not told.verify:
            from tasks.runtime.publication import read_previous  # noqa: PLC0415  (only with a store)

            read_previous(self._store, directories.previous)

    def deliver(self, directories: "Directories") -> None:
        """Publish the output of a job that ended well; a planning step's list of shards comes last.

        Raises:
            LockLostError: the lock is somebody else's by now.
            WrongInputError: the list of shards is none.
            TemporaryError, CannotWriteError: from the store.
        """
        if self._store is not None:
            published = self._publish(self._store, directories)
            if published is not None:
                self._log.info(
                    "published",
                    location=self._store.location,
                    generation=published.generation,
                    files=published.files,
                    bytes=published.size,
                )
        location = self._told.shard_list
        if location:
            from tasks.runtime.shards import publish_list  # noqa: PLC0415  (only before a fan-out)

            count = publish_list(location, directories.output)
            if count is None:
                self._log.warning("the list of shards of an earlier attempt stays", location=location)
            else:
                self._log.info("shards planned", shards=count, location=location)

    def _publish(self, store: "ObjectStore", directories: "Directories") -> "Published | None":
        told = self._told
        about = {"job": told.job, "run": told.run, "step": told.step, "run_key": told.run_key}
        if not told.verify:
            from tasks.runtime.publication import publish  # noqa: PLC0415  (only with a store)

            return publish(store, directories.output, self._token, about)
        from tasks.runtime.claim import verify  # noqa: PLC0415  (only in a fan-out)
        from tasks.runtime.shards import publish_once  # noqa: PLC0415  (the same)

        verify(told)
        published = publish_once(store, directories.output, self._token, about)
        if published is None:
            self._log.warning("another container of this shard has published", location=store.location)
        return published


def _open_output(told: Assignment) -> "ObjectStore | None":
    if not told.output:
        return None
    from tasks.runtime.locations import open_store  # noqa: PLC0415  (may import boto3)

    return open_store(told.output)
