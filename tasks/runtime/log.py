"""The runtime's log: one JSON object a line, on standard output, between the job's own lines."""

from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from tasks.runtime.output import Output


def open_log(output: "Output", **bound: Any) -> structlog.typing.FilteringBoundLogger:
    """A logger whose records carry `bound` (job, run, step, attempt), empty values left out.

    What the lock has to say comes through structlog too, and so in the same form.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=lambda *_: structlog.WriteLogger(output),  # type: ignore[arg-type]  # a file by write
        cache_logger_on_first_use=False,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger.bind(**{name: value for name, value in bound.items() if value not in {"", None}})
