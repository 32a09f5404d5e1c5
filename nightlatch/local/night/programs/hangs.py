"""A job that never ends and does not listen: it ignores SIGTERM, and so does the child it leaves behind."""

import os
import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
while True:
    time.sleep(3600)
