"""A job that works until its params say that a moment is enough."""

import json
import os
import time

params = json.loads(os.environ.get("NIGHTLATCH_PARAMS") or "{}")
if params.get("long") == "yes":
    while True:
        time.sleep(3600)
