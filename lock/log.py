"""Events, as structlog takes them where the program uses structlog, and by `logging` where it does not.

A library must not print to stdout, which structlog does until it is configured, nor make every user pay for
importing it.
"""

import logging
import sys
from typing import Final

_NAME: Final = "lock"
_LOGGER: Final = logging.getLogger(_NAME)
_METHODS: Final = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


def info(event: str, **values: object) -> None:
    """Something happened as it should."""
    _emit(logging.INFO, event, values)


def warning(event: str, **values: object) -> None:
    """Something that an operator may want to know."""
    _emit(logging.WARNING, event, values)


def error(event: str, **values: object) -> None:
    """Something that ends somebody's work."""
    _emit(logging.ERROR, event, values)


def _emit(level: int, event: str, values: dict[str, object]) -> None:
    structlog = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        getattr(structlog.get_logger(_NAME), _METHODS[level])(event, **values)
        return
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, "%s %s", event, " ".join(f"{name}={value}" for name, value in values.items()))
