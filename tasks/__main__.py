"""Entry point of the task image."""

import sys

from tasks.runtime.command_line import main
from tasks.runtime.failures import StoppedEarly

if __name__ == "__main__":
    try:
        sys.exit(main())
    except StoppedEarly as stopped:
        sys.exit(stopped.exit_code)
