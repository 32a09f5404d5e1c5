"""CPU and memory of Fargate tasks: what may be written, and which pairs exist.

Source: ECS developer guide, task definition parameters, "Task size"; botocore ecs RegisterTaskDefinition.
"""

from __future__ import annotations

import re

from nightlatch.local.api_error import ApiError

_GB = 1024

FARGATE_SIZES: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1 * _GB, 4 * _GB + 1, _GB)),
    1024: tuple(range(2 * _GB, 8 * _GB + 1, _GB)),
    2048: tuple(range(4 * _GB, 16 * _GB + 1, _GB)),
    4096: tuple(range(8 * _GB, 30 * _GB + 1, _GB)),
    8192: tuple(range(16 * _GB, 60 * _GB + 1, 4 * _GB)),
    16384: tuple(range(32 * _GB, 120 * _GB + 1, 8 * _GB)),
}
"""CPU units to the memory sizes (MiB) that go with them."""

_SIZE = re.compile(r"\s*(\d+|\d*\.\d+)\s*([A-Za-z]*)\s*")


def cpu_units(text: str) -> int:
    """CPU units of ``1024``, ``1 vCPU`` or ``.5 vcpu``.

    Raises:
        ApiError: ``ClientException``.
    """
    return _amount(text, "vcpu", 1024, "cpu")


def memory_mib(text: str) -> int:
    """MiB of ``2048``, ``2GB`` or ``0.5 GB``.

    Raises:
        ApiError: ``ClientException``.
    """
    return _amount(text, "gb", _GB, "memory")


def require_fargate_size(cpu: int, memory: int) -> None:
    """Refuse a pair that Fargate does not have.

    Raises:
        ApiError: ``ClientException``.
    """
    if memory not in FARGATE_SIZES.get(cpu, ()):
        raise ApiError(
            "ClientException",
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.",
        )


def _amount(text: str, unit: str, factor: int, what: str) -> int:
    match = _SIZE.fullmatch(str(text))
    if match is None or match[2].lower() not in {"", unit}:
        raise ApiError("ClientException", f"Invalid '{what}' setting for task: {text!r}.")
    return int(float(match[1]) * (factor if match[2] else 1))
