"""moto in this process, under moto's own account.

The local AWS's engine tells moto its account by an environment variable. A test that made such an engine in
this process leaves it set, and moto looks at it with every request.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moto import mock_aws

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLE = "MOTO_ACCOUNT_ID"


@contextmanager
def mocked_aws() -> Iterator[None]:
    """`mock_aws`, with the account that moto has when nobody names another."""
    before = os.environ.pop(_VARIABLE, None)
    try:
        with mock_aws():
            yield
    finally:
        if before is not None:
            os.environ[_VARIABLE] = before
