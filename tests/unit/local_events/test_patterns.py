"""Event patterns match as EventBridge documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nightlatch.local.api_error import ApiError
from nightlatch.local.events.pattern import matches, parse_pattern
from nightlatch.local.events.transform import target_input

EVENT = {
    "source": "aws.states",
    "detail-type": "Step Functions Execution Status Change",
    "resources": ["arn:one", "arn:two"],
    "time": "2026-11-21T21:00:00Z",
    "detail": {
        "status": "FAILED",
        "name": 'nightly-"1"',
        "count": 5,
        "ratio": 2.5,
        "late": True,
        "output": None,
        "empty": [],
        "address": "10.0.0.17",
        "containers": [{"name": "job", "code": 1}, {"name": "init", "code": 0}],
    },
}


def detail(**members: Any) -> dict[str, Any]:
    return {"detail": members}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["aws.states"]}, True),
        ({"source": ["aws.ecs"]}, False),
        ({"source": ["aws.ecs", "aws.states"], "detail": {"status": ["FAILED", "TIMED_OUT"]}}, True),
        ({"source": ["aws.states"], "detail": {"status": ["SUCCEEDED"]}}, False),
        ({"resources": ["arn:two"]}, True),
        ({"resources": ["arn:three"]}, False),
        ({"missing": ["x"]}, False),
        (detail(count=[5]), True),
        (detail(count=[5.0]), True),
        (detail(count=["5"]), False),
        (detail(late=[True]), True),
        (detail(late=[1]), False),
        (detail(output=[None]), True),
        (detail(status=[None]), False),
        (detail(status=[{"prefix": "FA"}]), True),
        (detail(status=[{"prefix": "fa"}]), False),
        (detail(status=[{"prefix": {"equals-ignore-case": "fa"}}]), True),
        (detail(status=[{"suffix": "LED"}]), True),
        (detail(status=[{"suffix": {"equals-ignore-case": "led"}}]), True),
        (detail(status=[{"equals-ignore-case": "failed"}]), True),
        (detail(status=[{"anything-but": "SUCCEEDED"}]), True),
        (detail(status=[{"anything-but": ["RUNNING", "FAILED"]}]), False),
        (detail(status=[{"anything-but": {"prefix": "FA"}}]), False),
        (detail(status=[{"anything-but": {"prefix": ["RU", "SU"]}}]), True),
        (detail(status=[{"anything-but": {"wildcard": "*IL*"}}]), False),
        (detail(missing=[{"anything-but": "x"}]), False),
        (detail(status=[{"exists": True}]), True),
        (detail(missing=[{"exists": False}]), True),
        (detail(status=[{"exists": False}]), False),
        (detail(missing={"deeper": [{"exists": False}]}), True),
        (detail(empty=[{"exists": False}]), True),
        (detail(count=[{"numeric": [">", 0, "<=", 5]}]), True),
        (detail(count=[{"numeric": ["<", 5]}]), False),
        (detail(ratio=[{"numeric": ["=", 2.5]}]), True),
        (detail(status=[{"numeric": ["=", 5]}]), False),
        (detail(late=[{"numeric": ["=", 1]}]), False),
        (detail(status=[{"wildcard": "F*D"}]), True),
        (detail(status=[{"wildcard": "F*X"}]), False),
        (detail(status=[{"wildcard": "F\\*D"}]), False),
        (detail(address=[{"cidr": "10.0.0.0/24"}]), True),
        (detail(status=[{"cidr": "10.0.0.0/24"}]), False),
        (detail(containers={"name": ["init"]}), True),
        (detail(containers={"name": ["other"]}), False),
        ({"$or": [{"source": ["aws.ecs"]}, {"detail": {"status": ["FAILED"]}}]}, True),
        ({"$or": [{"source": ["aws.ecs"]}, {"detail": {"status": ["RUNNING"]}}]}, False),
    ],
)
def test_matching(pattern: dict[str, Any], *, expected: bool) -> None:
    assert matches(parse_pattern(json.dumps(pattern)), EVENT) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "{",
        "[]",
        "{}",
        '{"source": "aws.ecs"}',
        '{"detail": {}}',
        '{"source": [["x"]]}',
        '{"source": [{"prefix": "a", "suffix": "b"}]}',
        '{"source": [{"regex": "a"}]}',
        '{"source": [{"exists": "yes"}]}',
        '{"source": [{"numeric": [">"]}]}',
        '{"source": [{"numeric": ["!", 1]}]}',
        '{"source": [{"anything-but": []}]}',
        '{"source": [{"anything-but": {"exists": true}}]}',
    ],
)
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_pattern(pattern)
    assert refused.value.code == "InvalidEventPatternException"


RULE = "arn:aws:events:ap-northeast-1:000000000000:rule/janitor"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({}, EVENT),
        ({"Input": '{"fixed": 1}'}, {"fixed": 1}),
        ({"InputPath": "$.detail.containers[1].name"}, "init"),
        ({"InputPath": "$['detail']['count']"}, 5),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"status": "$.detail.status", "count": "$.detail.count", "gone": "$.x"},
                    "InputTemplate": '{"status": <status>, "text": "<count> is <status>", "gone": <gone>}',
                }
            },
            {"status": "FAILED", "text": "5 is FAILED", "gone": None},
        ),
        (
            {"InputTransformer": {"InputPathsMap": {"n": "$.detail.name"}, "InputTemplate": '{"n": "<n>!"}'}},
            {"n": 'nightly-"1"!'},
        ),
        (
            {
                "InputTransformer": {
                    "InputTemplate": '{"rule": "<aws.events.rule-name>",'
                    ' "at": <aws.events.event.ingestion-time>}'
                }
            },
            {"rule": "janitor", "at": "2026-11-21T21:00:00Z"},
        ),
        ({"InputTransformer": {"InputTemplate": "<aws.events.event.json>"}}, EVENT),
    ],
)
def test_what_the_target_gets(target: dict[str, Any], expected: Any) -> None:
    assert json.loads(target_input(target, EVENT, RULE)) == expected


def test_an_unknown_variable_stays_as_it_is() -> None:
    target = {"InputTransformer": {"InputTemplate": '"<nobody>"'}}

    assert target_input(target, EVENT, RULE) == '"<nobody>"'
