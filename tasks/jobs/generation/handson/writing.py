"""The work of one task: search, ask, check, ask once more if the answer is not usable."""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasks.contract import exit_codes
from tasks.jobs.generation.handson.finished import Finished, Record
from tasks.jobs.generation.handson.graph import Graph
from tasks.jobs.generation.handson.project import Task
from tasks.jobs.generation.handson.questions import (
    BadAnswerError,
    Question,
    checked,
    question_of,
    repair_of,
)
from tasks.jobs.generation.handson.running import TaskFailed
from tasks.jobs.program import JobError
from tasks.providers.budget import Budget, estimated_tokens
from tasks.providers.chat import Chat, ProviderError, Reply
from tasks.providers.repeating import Patience, repeat
from tasks.providers.search import Found, Search

_RESULTS: Final = 4
_SEARCH_SECONDS: Final = 20.0

# (project, task, what happened): for the log.
Tell = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Answer:
    """What `Writing.write` made, before it is kept."""

    output: Any
    question: Question
    model: str
    input_tokens: int
    output_tokens: int


class Writing:
    """Writes tasks with a model and a search, both behind their interfaces."""

    def __init__(
        self,
        chat: Chat,
        search: Search,
        *,
        keys: Mapping[str, Mapping[str, str]],
        finished: Finished | None,
        budget: Budget | None = None,
        patience: Patience | None = None,
        tell: Tell = lambda _project, _task, _what: None,
        search_seconds: float = _SEARCH_SECONDS,
    ) -> None:
        self._chat = chat
        self._search = search
        self._keys = keys
        self._finished = finished
        self._budget = budget or Budget()
        self._patience = patience or Patience()
        self._tell = tell
        self._search_seconds = search_seconds

    async def write(self, graph: Graph, name: str, inputs: Mapping[str, Any]) -> Answer:
        """The answer for one task.

        Raises:
            TaskFailed: if there is none.
            JobError: if there will be none for any task: no access to the model or the search.
        """
        task = graph.tasks[name]
        try:
            found = await self._find(graph, task)
            question = question_of(graph, task, found, inputs)
            return await self._ask(graph, task, question)
        except ProviderError as error:
            if error.kind == "auth":
                raise JobError(
                    f"{graph.project.id}/{name}: access refused: {error.message}; "
                    "what is finished stays, a run with the right credentials goes on from there",
                    exit_codes.WRONG_INPUT,
                ) from None
            raise TaskFailed(f"{error.kind}: {error.message}", temporary=error.temporary) from None

    async def keep(self, graph: Graph, name: str, answer: Answer, seconds: float) -> Record:
        """Keep the answer as the task's record; returns when it is safe."""
        record = Record(
            key=self._keys[graph.project.id][name],
            project=graph.project.id,
            task=name,
            output=answer.output,
            seconds=round(seconds, 3),
            model=answer.model,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            finished_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            sources=answer.question.sources,
        )
        if self._finished is not None:
            await self._finished.write(record)
        return record

    async def _find(self, graph: Graph, task: Task) -> list[Found]:
        queries = (f"{graph.project.title} {task.title}",) if task.search is None else task.search
        lists = [await self._search_for(graph, task, query) for query in queries]
        # The best of every search first, then the second best of every search.
        depth = max((len(found) for found in lists), default=0)
        return [found[place] for place in range(depth) for found in lists if place < len(found)]

    async def _search_for(self, graph: Graph, task: Task, query: str) -> list[Found]:
        async def once() -> list[Found]:
            return await self._search.find(query, limit=_RESULTS, deadline_seconds=self._search_seconds)

        return await repeat(once, self._patience, on_wait=self._teller(graph, task, "search"))

    async def _ask(self, graph: Graph, task: Task, question: Question) -> Answer:
        first = await self._complete(graph, task, question)
        replies = [first]
        try:
            output = checked(question, first.text)
        except BadAnswerError as wrong:
            self._tell(graph.project.id, task.id, f"the answer is not usable ({wrong}); asking once more")
            second = await self._complete(graph, task, repair_of(question, first.text, wrong))
            replies.append(second)
            try:
                output = checked(question, second.text)
            except BadAnswerError as still:
                raise TaskFailed(f"bad answer, twice: {still}", temporary=True) from None
        return Answer(
            output,
            question,
            first.model,
            sum(reply.usage.input_tokens for reply in replies),
            sum(reply.usage.output_tokens for reply in replies),
        )

    async def _complete(self, graph: Graph, task: Task, question: Question) -> Reply:
        estimate = estimated_tokens(question.system + question.user) + task.max_tokens

        async def once() -> Reply:
            await self._budget.take(estimate)
            used = 0
            try:
                reply = await self._chat.complete(
                    system=question.system,
                    user=question.user,
                    max_tokens=task.max_tokens,
                    json_schema=question.form,
                    deadline_seconds=task.timeout_seconds,
                )
                used = reply.usage.total
            except (ProviderError, asyncio.CancelledError) as error:
                # Refused at the door costs nothing; anything else may have cost what was asked for.
                used = 0 if isinstance(error, ProviderError) and error.kind == "throttled" else estimate
                raise
            finally:
                self._budget.correct(estimate, used)
            return reply

        return await repeat(once, self._patience, on_wait=self._teller(graph, task, "model"))

    def _teller(self, graph: Graph, task: Task, whom: str) -> Callable[[int, float, ProviderError], None]:
        def tell(repetition: int, seconds: float, error: ProviderError) -> None:
            self._tell(
                graph.project.id,
                task.id,
                f"{whom}: {error.kind}: {error.message}; try {repetition + 1} in {seconds:.1f} s",
            )

        return tell
