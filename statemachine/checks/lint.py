"""What statelint finds, without what it is wrong about."""

import re
from collections.abc import Iterator
from typing import Any, Final

from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType

from statemachine.checks.problem import Problem

# JSONata is legal wherever a number or a time stamp is; an ItemReader needs its InputType, and a
# Distributed Map may have a Label (elsewhere the interpreter's own check refuses one).
# Source: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html and
# https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
_FALSE_ALARM: Final = re.compile(
    r"\.(?:TimeoutSeconds|HeartbeatSeconds|Seconds|MaxConcurrency|ToleratedFailurePercentage|Timestamp)"
    r' is "\{%.*%\}" but should be .*'
    r'|Field "InputType" not allowed in .*\.ItemReader\.ReaderConfig'
    r'|Field "Label" not allowed in .*',
    re.DOTALL,
)


def check_lint(definition: dict[str, Any]) -> Iterator[Problem]:
    """Problems that statelint reports. It wants 2.0 where 2 is fine, so that type is ignored."""
    for message in Linter.validate(definition, Config({ProblemType.FLOAT})):
        if not _FALSE_ALARM.search(message):
            yield Problem("", "lint", message)
