"""One request to a model: its words, and the most it can cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks.jobs.documents.question import Form
from tasks.jobs.documents.shard import Item
from tasks.jobs.documents.terms import Terms

# What an answer needs around it when there are several, and what a request has beside its words, in tokens.
_AROUND_ANSWER: Final = 16
_AROUND_REQUEST: Final = 200
# Bytes of UTF-8 to a token, as measured: four of English, three (one character) of Japanese.
_NARROW: Final = 4


@dataclass(frozen=True, slots=True)
class Request:
    """`most_input` and `most_output` bound the tokens: no text has more tokens than bytes."""

    system: str
    user: str
    schema: Mapping[str, Any]
    most_input: int
    most_output: int


def request_for(form: Form, batch: Sequence[Item], terms: Terms) -> Request:
    """The request about the documents of `batch`; about one that was answered wrongly, to answer again."""
    if len(batch) > 1:
        system, schema = form.system_many, form.schema_many
        user = form.user_many([item.text for item in batch])
    else:
        item = batch[0]
        system, schema = form.system_one, form.schema_one
        user = form.repair(item.text, item.wrong, item.problem) if item.wrong else form.user_one(item.text)
    most = form.most_around + len(user.encode()) + _AROUND_REQUEST
    return Request(
        system, user, dict(schema), most, (terms.question.max_tokens + _AROUND_ANSWER) * len(batch)
    )


def about_tokens(text: str) -> int:
    """About how many tokens `text` has, before the provider counts."""
    # Characters beyond ASCII have two or three bytes; each is about a token.
    wide = (len(text.encode()) - len(text)) // 2
    return wide + (len(text) - wide) // _NARROW + 1


def shares(input_tokens: int, output_tokens: int, count: int) -> list[tuple[int, int]]:
    """The tokens of a request as those of its documents; together they are exactly all."""
    read, more_read = divmod(input_tokens, count)
    written, more_written = divmod(output_tokens, count)
    return [(read + (place < more_read), written + (place < more_written)) for place in range(count)]
