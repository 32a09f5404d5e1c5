"""What identifies the result of a task: everything that went into it, through all that it waits for."""

import hashlib
import json
from typing import Final

from tasks.jobs.generation.handson.graph import Graph

# Goes up when questions are put differently, so that old answers do not count for new questions.
QUESTIONS: Final = 1


def keys_of(graph: Graph, engine: str) -> dict[str, str]:
    """A key for every task: another task, instruction, engine or predecessor makes another key.

    `engine` is the name of the model that answers. What has no part in the answer (weight, time-out, the
    order in the file, priority) has none in the key.
    """
    project = graph.project
    keys: dict[str, str] = {}
    for name in graph.order:
        task = graph.tasks[name]
        parts = [
            QUESTIONS,
            engine,
            [project.id, project.title, project.goal, project.audience, project.language],
            [task.id, task.title, task.instruction, task.search, task.output, task.form, task.max_tokens],
            sorted(keys[other] for other in task.after),
        ]
        text = json.dumps(parts, ensure_ascii=False, sort_keys=True)
        keys[name] = hashlib.sha256(text.encode()).hexdigest()
    return keys
