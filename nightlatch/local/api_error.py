from __future__ import annotations


class ApiError(Exception):
    """An AWS API's refusal, as the caller sees it.

    Args:
        code: The error code on the wire without any namespace, such as ``ExecutionDoesNotExist``.
        message: One sentence for people.
        status: The HTTP status; AWS uses 400 for nearly everything a caller did wrong.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
