"""How simulated services refuse."""


class ServiceError(Exception):
    """An AWS error: its code without the service's prefix, and its message."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ConditionFailedError(ServiceError):
    """A conditional write was refused."""

    def __init__(self) -> None:
        super().__init__("ConditionalCheckFailedException", "The conditional request failed")
