"""Amazon Bedrock's batch inference: requests as an object in S3, a job, answers as objects in S3.

Records are joined by recordId: the order of the output is not guaranteed. `clientRequestToken` makes one job
of submitting twice. Source: CreateModelInvocationJob, Amazon Bedrock API reference, and "Format and upload
your batch inference data", Amazon Bedrock user guide.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tasks.jobs.documents import places
from tasks.jobs.documents.batch_service import BatchAnswer, BatchRequest, BatchState
from tasks.jobs.documents.threads import aside
from tasks.providers.chat import ErrorKind, ProviderError, SettingsError, Usage

Told = TypeVar("Told")
# The default quotas of most models: at least 100 records in a job, at most 50,000.
_FEWEST: Final = 100
_MOST: Final = 50_000
# Some stopped or expired: what they have answered stands in the output.
_DONE: Final = {"Completed", "PartiallyCompleted", "Stopped", "Expired"}
_CUT_OFF: Final = {"max_tokens", "guardrail_intervened", "content_filtered"}
_LASTING: Final = {"ValidationException", "ResourceNotFoundException", "NoSuchBucket", "NoSuchKey"}
_BARRED: Final = {
    "AccessDeniedException",
    "UnrecognizedClientException",
    "ExpiredTokenException",
    "AccessDenied",
}


class BedrockBatches:
    """One model; files go below `location`, which `role` may read and write."""

    fewest = _FEWEST
    most = _MOST

    def __init__(self, model: str, role: str, location: str, endpoint: str | None = None) -> None:
        if not role:
            raise SettingsError(
                "Bedrock's batches need LLM_BATCH_ROLE: the ARN of a role that reads and writes S3"
            )
        if not location.startswith(places.S3):
            raise SettingsError(f"Bedrock's batches need a place in S3, not {location}")
        self._model = model
        self._role = role
        self._location = location.rstrip("/") + "/"
        retries: Any = {"mode": "standard", "total_max_attempts": 2}
        config = Config(connect_timeout=5, read_timeout=20, retries=retries)
        self._bedrock = boto3.client("bedrock", endpoint_url=endpoint, config=config)
        self._s3 = places.client()

    @property
    def name(self) -> str:
        """See BatchService."""
        return f"bedrock/{self._model}"

    async def submit(self, token: str, requests: Sequence[BatchRequest]) -> str:
        """See BatchService."""
        bucket, prefix = places.split(self._location)
        key = f"{prefix}batch-{token}/requests.jsonl"
        body = b"".join(json.dumps(_record(one), ensure_ascii=False).encode() + b"\n" for one in requests)

        def submit() -> str:
            self._s3.put_object(Bucket=bucket, Key=key, Body=body)
            told = self._bedrock.create_model_invocation_job(
                jobName=f"nightlatch-{token}",
                roleArn=self._role,
                clientRequestToken=token,
                modelId=self._model,
                modelInvocationType="Converse",
                inputDataConfig={
                    "s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": f"s3://{bucket}/{key}"}
                },
                outputDataConfig={
                    "s3OutputDataConfig": {"s3Uri": f"s3://{bucket}/{prefix}batch-{token}/answers/"}
                },
            )
            return str(told["jobArn"])

        return await _explained(submit)

    async def poll(self, batch: str) -> BatchState:
        """See BatchService."""
        told = await _explained(lambda: self._bedrock.get_model_invocation_job(jobIdentifier=batch))
        status, settled = told["status"], int(told.get("processedRecordCount") or 0)
        if status in _DONE:
            return BatchState("done", settled)
        if status == "Failed":
            return BatchState("failed", settled, str(told.get("message", "")))
        return BatchState("running", settled)

    async def answers(self, batch: str) -> AsyncIterator[BatchAnswer]:
        """See BatchService."""
        told = await _explained(lambda: self._bedrock.get_model_invocation_job(jobIdentifier=batch))
        place = told["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]
        bucket, prefix = places.split(place)

        def found() -> list[str]:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [one["Key"] for page in pages for one in page.get("Contents", [])]

        for key in await _explained(found):
            if not key.endswith(".jsonl.out"):
                continue
            reply = await _explained(lambda key=key: self._s3.get_object(Bucket=bucket, Key=key))  # type: ignore[misc]
            lines = reply["Body"].iter_lines()
            while (line := await _explained(lambda lines=lines: next(lines, None))) is not None:  # type: ignore[misc]
                answer = _answer(line)
                if answer is not None:
                    yield answer

    async def cancel(self, batch: str) -> None:
        """See BatchService."""
        await _explained(lambda: self._bedrock.stop_model_invocation_job(jobIdentifier=batch))

    async def close(self) -> None:
        """See BatchService."""
        self._bedrock.close()


async def _explained(call: Callable[[], Told]) -> Told:
    """The result of a blocking call, with the errors of ProviderError."""
    try:
        return await aside(call)
    except ClientError as error:
        code = places.error_code(error)
        kind: ErrorKind = "bad_request" if code in _LASTING else "auth" if code in _BARRED else "server"
        raise ProviderError(kind, f"{code}: {error}"[:300]) from None
    except BotoCoreError as error:
        raise ProviderError("unreachable", str(error)) from None


def _record(one: BatchRequest) -> dict[str, Any]:
    form = {"jsonSchema": {"schema": json.dumps(dict(one.schema)), "name": "answer"}}
    return {
        "recordId": one.key,
        "modelInput": {
            "system": [{"text": one.system}],
            "messages": [{"role": "user", "content": [{"text": one.user}]}],
            "inferenceConfig": {"maxTokens": one.max_tokens, "temperature": one.temperature},
            "outputConfig": {"textFormat": {"type": "json_schema", "structure": form}},
        },
    }


def _answer(line: bytes) -> BatchAnswer | None:
    """The answer of a line; None for one that says nothing about any record."""
    try:
        told = json.loads(line)
        key = str(told["recordId"])
    except (ValueError, KeyError, TypeError):
        return None
    error = told.get("error")
    if error:
        said = str(error.get("errorMessage", error))[:300]
        temporary = bool(error.get("retryable") or error.get("expired"))
        return BatchAnswer(key, "", Usage(0, 0), said, temporary=temporary)
    output = told.get("modelOutput") or {}
    used = output.get("usage") or {}
    usage = Usage(int(used.get("inputTokens") or 0), int(used.get("outputTokens") or 0))
    content = ((output.get("output") or {}).get("message") or {}).get("content") or []
    text = "".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    if output.get("stopReason") in _CUT_OFF or not text:
        return BatchAnswer(key, "", usage, f"no whole answer: {output.get('stopReason')}")
    return BatchAnswer(key, text, usage)
