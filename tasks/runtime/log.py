"""The runtime's log: one JSON object a line, on standard output, between the job's own lines."""

from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from tasks.runtime.output import Output


def open_log(output: "Output", **bound: Any) -> structlog.typing.FilteringBoundLogger:
    """A logger whose records carry `bound` (job, run, step, attempt), empty values left out."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(output),  # type: ignore[arg-type]  # it needs no more of a file than write and flush
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=True,
    )
    return logger.bind(**{name: value for name, value in bound.items() if value not in {"", None}})
