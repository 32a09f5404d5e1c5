"""Fixtures that every test may ask for."""

import os
import signal
import sys
import threading

from tests.support.local_aws import local_aws, own_local_aws

__all__ = ["local_aws", "own_local_aws"]

# A shell starts background jobs with SIGINT ignored, and processes inherit that: what Ctrl-C does could not
# be shown then.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The tests start hundreds of programs, which would compile the same modules each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
