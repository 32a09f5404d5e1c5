"""The job's local directories, for the time of one attempt."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.contract import variables
from tasks.runtime.failures import CannotWriteError


@dataclass(frozen=True, slots=True)
class Directories:
    """The job's local directories; `shards` only in a step that collects what a fan-out published."""

    checkpoint: Path
    output: Path
    previous: Path
    shards: Path | None = None

    def variables(self) -> dict[str, str]:
        """As the contract names them."""
        named = {
            variables.CHECKPOINT_DIR: str(self.checkpoint),
            variables.OUTPUT_DIR: str(self.output),
            variables.PREVIOUS_DIR: str(self.previous),
        }
        return named if self.shards is None else {**named, variables.SHARDS_DIR: str(self.shards)}


@contextlib.contextmanager
def make_directories(*, collecting: bool) -> Iterator[Directories]:
    """Make them, and remove them with all that is in them.

    Raises:
        CannotWriteError: if they cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="nightlatch-", ignore_cleanup_errors=True)
    except OSError as error:
        raise CannotWriteError(f"cannot make a working directory: {error.strerror or error}") from None
    with folder as name:
        root = Path(name)
        shards = root / "shards" if collecting else None
        made = Directories(root / "checkpoint", root / "output", root / "previous", shards)
        try:
            for path in filter(None, (made.checkpoint, made.output, made.previous, made.shards)):
                path.mkdir()
        except OSError as error:
            raise CannotWriteError(f"cannot make {root}: {error.strerror or error}") from None
        yield made
