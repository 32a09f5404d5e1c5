"""Batch services over real HTTP: OpenAI's files and batches, Bedrock's jobs with files in S3.

Beside them chat completions and Converse, for what a batch left over. Answers come in another order than the
requests, one of them twice; documents with words in them fare as the words say.
"""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.support.chat_endpoint import Character, Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class BatchEndpoint:
    """`gate` holds batches back: while it is clear they are running."""

    def __init__(self, s3: Any = None) -> None:
        self.chat = Endpoint(Character(latency=0))
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.gate = threading.Event()
        self.polls = 0
        self.refusing = 0
        self.url = ""
        self._s3 = s3

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{id}/content", self._content)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches", self._list)
        app.router.add_get("/v1/batches/{id}", self._state)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/model-invocation-job", self._create_job)
        app.router.add_get("/model-invocation-job/{id:.+}", self._job)
        app.router.add_post("/model/{id:.+}/converse", self._converse)
        return app

    async def _chat(self, request: web.Request) -> web.Response:
        told = self.chat.answer(request.path, await request.read())
        assert told is not None
        return web.Response(status=told[1], body=told[3], content_type="application/json")

    async def _converse(self, request: web.Request) -> web.Response:
        status, told = self._asked(await request.json())
        headers = {"x-amzn-ErrorType": "ValidationException"} if status == 400 else {}
        return web.json_response(told, status=status, headers=headers)

    def _asked(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The answer to a request in Converse's form, in Converse's form."""
        messages = [
            {"content": given["system"][0]["text"]},
            {"content": given["messages"][0]["content"][0]["text"]},
        ]
        reply = self.chat.answer("", json.dumps({"model": "m", "messages": messages}).encode())
        assert reply is not None
        if reply[1] != 200:
            return reply[1], {"message": "no"}
        body = json.loads(reply[3])
        text, used = body["choices"][0]["message"]["content"], body["usage"]
        return 200, {
            "output": {"message": {"role": "assistant", "content": [{"text": text or ""}]}},
            "stopReason": "end_turn" if text else "content_filtered",
            "usage": {
                "inputTokens": used["prompt_tokens"],
                "outputTokens": used["completion_tokens"],
                "totalTokens": used["prompt_tokens"] + used["completion_tokens"],
            },
            "metrics": {"latencyMs": 1},
        }

    async def _upload(self, request: web.Request) -> web.Response:
        if self.refusing:
            self.refusing -= 1
            return web.Response(status=503)
        form = await request.post()
        assert form["purpose"] == "batch"
        file: Any = form["file"]
        return web.json_response({"id": self._keep(file.file.read())})

    def _keep(self, body: bytes) -> str:
        name = f"file-{uuid.uuid4().hex}"
        self.files[name] = body
        return name

    async def _content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["id"]])

    async def _create(self, request: web.Request) -> web.Response:
        told = await request.json()
        assert told["endpoint"] == "/v1/chat/completions"
        name = f"batch_{uuid.uuid4().hex}"
        self.batches[name] = {"id": name, "status": "in_progress", **told}
        return web.json_response(self.batches[name])

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"data": list(self.batches.values()), "has_more": False})

    async def _state(self, request: web.Request) -> web.Response:
        self.polls += 1
        batch = self.batches[request.match_info["id"]]
        if batch["status"] == "in_progress" and self.gate.is_set():
            self._work(batch)
        return web.json_response(batch)

    def _work(self, batch: dict[str, Any]) -> None:
        done, failed = [], []
        for line in self.files[batch["input_file_id"]].splitlines():
            asked = json.loads(line)
            user = asked["body"]["messages"][-1]["content"]
            if "EXPIRES" in user:
                continue
            reply = self.chat.answer("", json.dumps(asked["body"]).encode())
            assert reply is not None
            told = {
                "custom_id": asked["custom_id"],
                "response": {"status_code": reply[1], "body": json.loads(reply[3])},
                "error": None,
            }
            (done if reply[1] == 200 else failed).append(json.dumps(told).encode())
        batch["output_file_id"] = self._keep(b"\n".join([*reversed(done), *done[:1]]) + b"\n")
        if failed:
            batch["error_file_id"] = self._keep(b"\n".join(failed) + b"\n")
        batch["status"] = "completed"
        batch["request_counts"] = {"completed": len(done), "failed": len(failed), "total": len(done)}

    async def _create_job(self, request: web.Request) -> web.Response:
        told = await request.json()
        for known in self.batches.values():
            if known["clientRequestToken"] == told["clientRequestToken"]:
                return web.json_response({"jobArn": known["jobArn"]})
        arn = f"arn:aws:bedrock:ap-northeast-1:123456789012:model-invocation-job/{uuid.uuid4().hex[:12]}"
        self.batches[arn] = {"jobArn": arn, "status": "Submitted", **told}
        return web.json_response({"jobArn": arn})

    async def _job(self, request: web.Request) -> web.Response:
        self.polls += 1
        job = self.batches[request.match_info["id"]]
        if job["status"] == "Submitted" and self.gate.is_set():
            await asyncio.to_thread(self._invoke, job)
        return web.json_response(job)

    def _invoke(self, job: dict[str, Any]) -> None:
        bucket, _, key = job["inputDataConfig"]["s3InputDataConfig"]["s3Uri"][5:].partition("/")
        lines = []
        for line in self._s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines():
            asked = json.loads(line)
            given = asked["modelInput"]
            user = given["messages"][0]["content"][0]["text"]
            told: dict[str, Any] = {"recordId": asked["recordId"], "modelInput": given}
            if "EXPIRES" in user:
                told["error"] = {"errorCode": 408, "errorMessage": "expired", "expired": True}
            else:
                status, answer = self._asked(given)
                if status == 200:
                    told["modelOutput"] = answer
                else:
                    told["error"] = {"errorCode": status, "errorMessage": "no", "retryable": False}
            lines.append(json.dumps(told))
        place = job["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"][5:]
        bucket, _, prefix = place.partition("/")
        name = job["jobArn"].rsplit("/", 1)[1]
        body = "\n".join([*reversed(lines), lines[0]]) + "\n"
        self._s3.put_object(Bucket=bucket, Key=f"{prefix}{name}/requests.jsonl.out", Body=body.encode())
        self._s3.put_object(Bucket=bucket, Key=f"{prefix}{name}/manifest.json.out", Body=b"{}")
        job["status"] = "Completed"


@contextmanager
def batch_endpoint(s3: Any = None) -> Iterator[BatchEndpoint]:
    """The services in a thread of this process, so that a test can count and hold them back."""
    endpoint, ready = BatchEndpoint(s3), threading.Event()
    ending: list[Callable[[], None]] = []

    async def main() -> None:
        runner = web.AppRunner(endpoint.application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        sockets: Any = site._server.sockets  # type: ignore[attr-defined]
        endpoint.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        ending.append(lambda: loop.call_soon_threadsafe(over.set) and None)
        ready.set()
        await over.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield endpoint
    finally:
        ending[0]()
        thread.join(20)
