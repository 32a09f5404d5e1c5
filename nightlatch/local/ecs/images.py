"""Which part of this machine stands for a container image."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightlatch.local.ecs.runner import StartError

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN_IMAGE = "nightlatch"
"""Images whose repository begins so are this installation itself."""


@dataclass(frozen=True)
class HostImage:
    """A directory of this machine that programs run from.

    Attributes:
        directory: Where processes start.
        path: Value of ``PATH``.
    """

    directory: Path
    path: str


class HostImages:
    """Finds the host directory for an image name.

    Args:
        images: Image name, with or without registry and tag, to a directory. Its ``bin`` comes first on
            ``PATH``, then the directory itself.
        workdir: Where processes of our own image start; the current directory when absent.
        search: ``PATH`` after the image's own directories; this process's when absent.
    """

    def __init__(
        self, images: Mapping[str, Path], workdir: Path | None = None, search: str | None = None
    ) -> None:
        self._images = dict(images)
        self._workdir = (workdir or Path.cwd()).resolve()
        self._search = search if search is not None else os.environ.get("PATH", os.defpath)

    def resolve(self, image: str) -> HostImage:
        """The host directory that stands for an image.

        Raises:
            StartError: ``CannotPullContainerError`` for an image nobody described.
        """
        repository = _repository(image)
        for name in (image, _without_tag(image), repository, repository.rpartition("/")[2]):
            if name in self._images:
                return self._in_directory(image, self._images[name])
        if repository.startswith(OWN_IMAGE):
            own = Path(sys.executable).parent
            return HostImage(self._workdir, os.pathsep.join([str(own), self._search]))
        raise StartError(
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref"
            f" {image}: not found. Say which directory stands for it:"
            f" nightlatch local up --image {repository}=DIR"
        )

    def _in_directory(self, image: str, directory: Path) -> HostImage:
        if not directory.is_dir():
            raise StartError(
                f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve"
                f" ref {image}: {directory} is not a directory"
            )
        own = directory.resolve()
        return HostImage(own, os.pathsep.join([str(own / "bin"), str(own), self._search]))


def _repository(image: str) -> str:
    """``registry/team/name:tag@digest`` without registry, tag and digest."""
    name = _without_tag(image)
    first, slash, rest = name.partition("/")
    return rest if slash and ("." in first or ":" in first or first == "localhost") else name


def _without_tag(image: str) -> str:
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
