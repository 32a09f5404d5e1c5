"""Opens the place that a location names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.runtime.failures import WrongInputError
from tasks.runtime.store import ObjectStore


def open_store(location: str) -> ObjectStore:
    """Open ``s3://bucket/prefix/``, ``file:///directory/`` or a plain directory.

    Raises:
        WrongInputError: for any other location.
    """
    parts = urlsplit(location)
    if parts.scheme == "s3" and parts.netloc:
        from tasks.runtime.s3_store import S3Store  # noqa: PLC0415  (boto3 is slow to import)

        return S3Store(parts.netloc, parts.path.lstrip("/"))
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        path = Path(unquote(parts.path))
    elif not parts.scheme and location:
        path = Path(location)
    else:
        raise WrongInputError(f"location {location!r} is neither s3://bucket/prefix/ nor file:///directory/")
    from tasks.runtime.directory_store import DirectoryStore  # noqa: PLC0415  (only one of the two is needed)

    return DirectoryStore(path)
