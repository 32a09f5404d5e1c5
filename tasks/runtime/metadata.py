"""Who am I: the task's ARN from the ECS task metadata endpoint, version 4.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
(``${ECS_CONTAINER_METADATA_URI_V4}/task`` answers JSON with ``TaskARN``.)
"""

import http.client
import json
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from tasks.contract import variables
from tasks.runtime.failures import TemporaryError, WrongInputError

_TRIES: Final = 4
_TIMEOUT: Final = 2.0
_PAUSE: Final = 0.25
_OK: Final = 200


def task_arn(environment: Mapping[str, str]) -> str:
    """The ARN of the task this container belongs to.

    Raises:
        WrongInputError: outside ECS (no metadata variable).
        TemporaryError: if the endpoint does not answer.
    """
    base = environment.get(variables.METADATA_URI, "")
    address = urlsplit(base)
    if address.scheme != "http" or not address.hostname:
        raise WrongInputError(
            f"{variables.METADATA_URI} is not set, so the task cannot say which task claims the lock; "
            "start it as an ECS task, or without the lock variables"
        )
    problem = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE * 2**attempt)
        try:
            arn = _ask(address.hostname, address.port or 80, address.path + "/task")
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = str(error) or type(error).__name__
        else:
            if arn:
                return arn
            problem = "the answer has no TaskARN"
    raise TemporaryError(f"the task metadata endpoint {base} does not answer: {problem}")


def _ask(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read()
        if reply.status != _OK:
            raise ValueError(f"it answered {reply.status}")
        members = json.loads(body)
    finally:
        connection.close()
    return str(members.get("TaskARN") or "") if isinstance(members, dict) else ""
