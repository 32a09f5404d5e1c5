"""Run one night: `python -m nightlatch.local.night`, or `make night`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nightlatch.local.night.play import play
from nightlatch.local.night.setting import Setting
from nightlatch.local.night.stories import StoryFailedError


def main() -> int:
    """The exit status: 0 if everything that was promised was seen."""
    options = argparse.ArgumentParser(prog="make night", description=__doc__)
    options.add_argument("--articles", type=Path, help="a folder of HTML pages with pictures of your own")
    options.add_argument("--jobs", type=Path, default=Path("jobs.yaml"), help="the jobs file")
    options.add_argument("--root", type=Path, default=Path(".nightlatch/night"), help="where all of it lies")
    options.add_argument("--keep", action="store_true", help="leave the local AWS running afterwards")
    given = options.parse_args()
    if given.articles is not None and not given.articles.is_dir():
        options.error(f"{given.articles} is not a folder")
    setting = Setting(given.root.resolve(), given.jobs.resolve(), given.articles and given.articles.resolve())
    setting.keep = given.keep
    try:
        with setting:
            return play(setting)
    except StoryFailedError as error:
        print(f"night: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("night: interrupted; everything it started has been ended", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
