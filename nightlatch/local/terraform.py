"""Runs Terraform on this project's configuration: finds the program and its provider, keeps real AWS out.

The provider comes from a filesystem mirror where there is one (``TF_PLUGIN_MIRROR``, or a folder named
``registry.terraform.io`` near the top of the file system), else from the registry as usual. Terraform gets an
environment of its own, because a profile or an endpoint in someone's shell would send a part of the work to a
real account.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REGISTRY = "registry.terraform.io"
HOW_TO_GET_IT = "install Terraform 1.11 or later (https://developer.hashicorp.com/terraform/install)"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

# Folders near the top of the file system that hold no software, or are slow to look at.
_NOT_SEARCHED = frozenset({"dev", "home", "lost+found", "media", "mnt", "proc", "root", "run", "sys", "tmp"})
_SEARCH_DEPTH = 3
_KEPT_VARIABLES = (
    "HOME",
    "LANG",
    "LC_ALL",
    "PATH",
    "TMPDIR",
    "USER",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "NO_PROXY",
)


class TerraformError(Exception):
    """Terraform ended with an error; the message is what it said."""


def find_program() -> str | None:
    """The terraform program: ``TERRAFORM``, else the first on PATH."""
    return shutil.which(os.environ.get("TERRAFORM", "terraform"))


def find_mirror() -> Path | None:
    """The folder that holds ``registry.terraform.io``, if this machine has a provider mirror."""
    named = os.environ.get("TF_PLUGIN_MIRROR")
    if named:
        path = Path(named)
        return path.parent if path.name == REGISTRY else path
    return _search()


@cache
def _search() -> Path | None:
    return next(_folders_with_registry(Path("/"), 0), None)


def _folders_with_registry(folder: Path, depth: int) -> Iterator[Path]:
    try:
        children = sorted(it for it in folder.iterdir() if it.is_dir() and not it.is_symlink())
    except OSError:
        return  # not ours to read
    if any(it.name == REGISTRY for it in children):
        yield folder
    if depth < _SEARCH_DEPTH:
        for child in children:
            if child.name not in _NOT_SEARCHED and not child.name.startswith("."):
                yield from _folders_with_registry(child, depth + 1)


def cli_configuration(mirror: Path) -> str:
    """A Terraform CLI configuration that takes from the mirror what it has and the rest from the registry."""
    names = sorted(
        f"{REGISTRY}/{it.parent.name}/{it.name}"
        for it in mirror.joinpath(REGISTRY).glob("*/*")
        if it.is_dir()
    )
    listed = ", ".join(f'"{name}"' for name in names)
    return (
        "provider_installation {\n"
        f'  filesystem_mirror {{\n    path    = "{mirror}"\n    include = [{listed}]\n  }}\n'
        f"  direct {{\n    exclude = [{listed}]\n  }}\n"
        "}\n"
    )


@dataclass
class Terraform:
    """Terraform in one folder.

    Args:
        folder: The root module.
        scratch: A folder for what Terraform needs beside the configuration.
        variables: Environment variables for it, beyond the few that are kept.
    """

    folder: Path
    scratch: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: str, stdin: str | None = None, accept: tuple[int, ...] = (0,)) -> str:
        """Run one command and give what it wrote to stdout.

        Args:
            *words: The command and its options, such as ``"plan", "-input=false"``.
            stdin: Text for its standard input.
            accept: The exit codes that are no error.

        Raises:
            TerraformError: There is no Terraform, or it ended with another exit code.
        """
        done = self.attempt(*words, stdin=stdin)
        if done.returncode not in accept:
            said = (done.stderr or done.stdout).strip()
            raise TerraformError(f"terraform {words[0]} ended with {done.returncode}:\n{said}")
        return done.stdout

    def attempt(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command, whatever its exit code.

        Raises:
            TerraformError: There is no Terraform.
        """
        program = find_program()
        if program is None:
            raise TerraformError(f"there is no terraform on PATH: {HOW_TO_GET_IT}")
        done = subprocess.run(
            [program, f"-chdir={self.folder}", *words],
            env=self._environment(),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            check=False,
        )
        # Only some of the commands can be told to leave colours out.
        done.stdout, done.stderr = _COLOUR.sub("", done.stdout), _COLOUR.sub("", done.stderr)
        return done

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        configuration = self.scratch / "terraform.rc"
        if not configuration.exists():
            mirror = find_mirror()
            configuration.write_text(cli_configuration(mirror) if mirror else "", encoding="utf-8")
        return {
            **kept,
            "TF_CLI_CONFIG_FILE": str(configuration),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
            # No profile, no instance role, no single sign-on: only what `variables` says.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            **self.variables,
        }
