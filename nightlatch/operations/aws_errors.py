"""Translate the errors of botocore and of the lock into `OperationError`."""

from __future__ import annotations

from botocore import exceptions as aws

from lock.errors import LockError, TableMissingError
from nightlatch.operations.errors import OperationError

# Names under which the services say that credentials are bad.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NOT_ALLOWED = frozenset(
    {"AccessDenied", "AccessDeniedException", "NotAuthorized", "OptInRequired", "UnauthorizedOperation"}
)

_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.ProfileNotFound,
)
UNREACHABLE = (aws.ConnectionError, aws.HTTPClientError)
_EXPIRED = (aws.TokenRetrievalError, aws.SSOError, aws.UnauthorizedSSOTokenError)


def translate(error: aws.BotoCoreError | aws.ClientError, *, endpoint: str | None = None) -> OperationError:
    """An `OperationError` that says the same in this project's words.

    Args:
        error: What boto3 raised.
        endpoint: The endpoint in use when it is not AWS's own, to name it in the message.
    """
    if isinstance(error, aws.ClientError):
        return _refused(error)
    why = [("why", str(error))]
    if isinstance(error, _NO_CREDENTIALS):
        return OperationError("AWS-001", "no AWS credentials were found", facts=why)
    if isinstance(error, _EXPIRED):
        return OperationError("AWS-002", "the AWS sign-in has expired", facts=why, tries=["aws sso login"])
    if isinstance(error, aws.NoRegionError):
        return OperationError("AWS-006", "no AWS region is set", tries=["--region ap-northeast-1"])
    if isinstance(error, UNREACHABLE):
        where = [("endpoint", endpoint)] if endpoint else []
        tries = ["nightlatch local status"] if endpoint else ["nightlatch doctor"]
        return OperationError("AWS-004", "AWS could not be reached", facts=[*where, *why], tries=tries)
    return OperationError("AWS-005", "an AWS call failed", facts=why)


def translate_lock(error: LockError, *, endpoint: str | None = None) -> OperationError:
    """The lock's own error in this project's words; where AWS is behind it, as AWS's."""
    if isinstance(error, TableMissingError):
        return OperationError(
            "LOCK-006", f"the lock table {error.table} does not exist", tries=["nightlatch doctor"]
        )
    if isinstance(error.__cause__, (aws.BotoCoreError, aws.ClientError)):
        return translate(error.__cause__, endpoint=endpoint)
    return OperationError("LOCK-007", "a lock cannot be read", facts=[("why", str(error))])


def _refused(error: aws.ClientError) -> OperationError:
    details = error.response.get("Error", {})
    name = details.get("Code", "Unknown")
    request_id = error.response.get("ResponseMetadata", {}).get("RequestId")
    facts = [("call", error.operation_name), ("why", f"{name}: {details.get('Message', '')}".strip(": "))]
    if name in _BAD_CREDENTIALS:
        return OperationError(
            "AWS-002", "AWS did not accept the credentials", facts=facts, request_id=request_id
        )
    if name in _NOT_ALLOWED:
        return OperationError(
            "AWS-003", f"not allowed: {error.operation_name}", facts=facts, request_id=request_id
        )
    return OperationError(
        "AWS-005", f"AWS refused {error.operation_name}", facts=facts, request_id=request_id
    )
