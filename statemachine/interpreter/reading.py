"""Turns a definition's text into its graph, or into the list of everything that is wrong with it."""

from collections.abc import Callable, Mapping
from typing import Any

from statemachine.interpreter.fields import MAX_SECONDS, Fields, Notes, load_json, read_resource
from statemachine.interpreter.graph_rules import check_graph
from statemachine.interpreter.reading_distributed import DISTRIBUTED_FIELDS, read_distributed_map
from statemachine.interpreter.states import (
    Catcher,
    Choice,
    DefinitionError,
    Fail,
    Graph,
    Map,
    Parallel,
    Pass,
    Resource,
    Retrier,
    Rule,
    State,
    Succeed,
    Task,
    Wait,
)
from statemachine.interpreter.template import is_expression

MAX_STATE_NAME = 80
MAX_DEFINITION = 1_048_576
MAX_RETRY_DELAY = 31_622_400
_COMMON = {"Type", "QueryLanguage"}
_FLOW = {"Next", "End", "Assign", "Output"}
_HANDLING = {"Retry", "Catch"}
_LANGUAGE_ADVICE = (
    'JSONPath, the default, is not supported; set "QueryLanguage": "JSONata" on the machine '
    "and use Arguments, Output and Assign"
)


def read_definition(text: str) -> tuple[Graph, int | None]:
    """Parses a definition: its outermost states, and the limit of a whole execution in seconds.

    Raises:
        DefinitionError: with every problem found.
    """
    notes = Notes()
    read = _read_top(text, notes)
    if notes.problems or read is None:
        raise DefinitionError(notes.problems)
    return read


def _read_top(text: str, notes: Notes) -> tuple[Graph, int | None] | None:
    if len(text.encode()) > MAX_DEFINITION:
        notes.add("/", "a definition has at most 1 MB")
        return None
    try:
        value = load_json(text)
    except RecursionError:
        notes.add("/", "the definition is nested too deeply")
        return None
    except ValueError as error:
        notes.add("/", f"the definition is not JSON: {error}")
        return None
    if not isinstance(value, dict):
        notes.add("/", "the definition must be an object")
        return None
    top = Fields(notes, value, "")
    top.only({"StartAt", "States", "Version", "TimeoutSeconds", "QueryLanguage"}, "a state machine")
    if value.get("Version", "1.0") != "1.0":
        top.note("Version", 'must be "1.0"')
    language = value.get("QueryLanguage", "JSONPath")
    if language not in {"JSONPath", "JSONata"}:
        top.note("QueryLanguage", "must be one of JSONPath, JSONata")
    timeout = top.number("TimeoutSeconds", 1, MAX_SECONDS)
    try:
        graph = _Reader(notes, language).graph(top)
    except RecursionError:
        notes.add("/", "the definition is nested too deeply")
        return None
    if not notes.problems and graph is not None:
        check_graph(graph, notes)
    return None if graph is None else (graph, None if timeout is None else int(timeout))


class _Reader:
    """Reads states; knows the machine's query language, which also holds inside branches and processors."""

    def __init__(self, notes: Notes, language: str) -> None:
        self._notes = notes
        self._language = language
        self._places: dict[str, str] = {}

    def graph(self, fields: Fields) -> Graph | None:
        """Reads StartAt and States."""
        start = fields.get("StartAt", str, required=True)
        states = fields.get("States", dict, required=True)
        if start is None or states is None:
            return None
        if not states:
            fields.note("States", "must have at least one state")
            return None
        read: dict[str, State] = {}
        for name, value in states.items():
            state = self._state(name, value, f"{fields.where}/States/{name}")
            if state is not None:
                read[name] = state
        if start not in states:
            fields.note("StartAt", f"there is no state {start!r} here")
        return Graph(start, read)

    def _state(self, name: str, value: Any, where: str) -> State | None:
        if not isinstance(value, dict):
            self._notes.add(where, "a state must be an object")
            return None
        if len(name) > MAX_STATE_NAME or not name:
            self._notes.add(where, "a state's name has 1 to 80 characters")
        if name in self._places:
            self._notes.add(
                where, f"the name {name!r} is taken by {self._places[name]}; names are unique in a machine"
            )
        self._places.setdefault(name, where)
        fields = Fields(self._notes, value, where)
        language = value.get("QueryLanguage", self._language)
        if language == "JSONPath":
            self._notes.add(where, f"state {name!r} uses {_LANGUAGE_ADVICE}")
            return None
        if language != "JSONata":
            fields.note("QueryLanguage", "must be one of JSONPath, JSONata")
        readers: dict[str, Callable[[Fields, dict[str, Any]], State | None]] = {
            "Pass": self._pass,
            "Task": self._task,
            "Choice": self._choice,
            "Wait": self._wait,
            "Succeed": self._succeed,
            "Fail": self._fail,
            "Parallel": self._parallel,
            "Map": self._map,
        }
        kind = fields.get("Type", str, required=True)
        if kind is None:
            return None
        if kind not in readers:
            fields.note("Type", f"{kind!r} is not one of {', '.join(readers)}")
            return None
        return readers[kind](fields, {"name": name, "type": kind})

    def _flow(self, fields: Fields, common: dict[str, Any], what: str, more: set[str]) -> dict[str, Any]:
        fields.only(_COMMON | _FLOW | more, f"a {what} state")
        end = fields.get("End", bool)
        following = fields.get("Next", str)
        if ("Next" in fields.value) == bool(end):
            fields.note("Next", "a state has either Next or End: true")
        return {**common, "next": following, "assign": fields.assign(), "output": fields.template("Output")}

    def _pass(self, fields: Fields, common: dict[str, Any]) -> State:
        return Pass(**self._flow(fields, common, "Pass", set()))

    def _succeed(self, fields: Fields, common: dict[str, Any]) -> State:
        fields.only(_COMMON | {"Output"}, "a Succeed state")
        return Succeed(**common, output=fields.template("Output"))

    def _fail(self, fields: Fields, common: dict[str, Any]) -> State:
        fields.only(_COMMON | {"Error", "Cause"}, "a Fail state")
        return Fail(**common, error=fields.computed_string("Error"), cause=fields.computed_string("Cause"))

    def _wait(self, fields: Fields, common: dict[str, Any]) -> State:
        flow = self._flow(fields, common, "Wait", {"Seconds", "Timestamp"})
        if ("Seconds" in fields.value) == ("Timestamp" in fields.value):
            fields.note("Seconds", "a Wait has exactly one of Seconds and Timestamp")
        return Wait(
            **flow,
            seconds=fields.computed_number("Seconds", 0, MAX_SECONDS),
            timestamp=fields.computed_time("Timestamp"),
        )

    def _choice(self, fields: Fields, common: dict[str, Any]) -> State:
        fields.only(_COMMON | {"Choices", "Default", "Assign", "Output"}, "a Choice state")
        choices = fields.get("Choices", list, required=True)
        if choices is not None and not choices:
            fields.note("Choices", "must have at least one rule")
        rules = [self._rule(fields, index, value) for index, value in enumerate(choices or [])]
        return Choice(
            **common,
            rules=tuple(rule for rule in rules if rule is not None),
            next=fields.get("Default", str),
            assign=fields.assign(),
            output=fields.template("Output"),
        )

    def _rule(self, state: Fields, index: int, value: Any) -> Rule | None:
        place = f"Choices[{index}]"
        if not isinstance(value, dict):
            state.note(place, "a rule must be an object")
            return None
        fields = Fields(self._notes, value, f"{state.where}/{place}", prefix=f"{place}/")
        fields.only({"Condition", "Next", "Assign", "Output"}, "a Choice rule")
        condition = value.get("Condition")
        if not is_expression(condition) and not isinstance(condition, bool):
            fields.note("Condition", "must be a JSONata expression {% … %}, true or false")
            return None
        following = fields.get("Next", str, required=True)
        template = fields.template("Condition")
        if following is None or template is None:
            return None
        return Rule(template, following, fields.assign(), fields.template("Output"))

    def _handling(self, fields: Fields, common: dict[str, Any], what: str, more: set[str]) -> dict[str, Any]:
        flow = self._flow(fields, common, what, _HANDLING | more)
        retriers = self._handlers(fields, "Retry", _retrier)
        catchers = self._handlers(fields, "Catch", _catcher)
        return {**flow, "retry": tuple(retriers), "catch": tuple(catchers)}

    def _handlers(self, state: Fields, name: str, read: Callable[[Fields], Any]) -> list[Any]:
        handlers = []
        values = state.get(name, list) or []
        for index, value in enumerate(values):
            place = f"{name}[{index}]"
            if not isinstance(value, dict):
                state.note(place, "must be an object")
                continue
            fields = Fields(
                self._notes, value, f"{state.where}/{place}", prefix=f"{place}/", error_output=name == "Catch"
            )
            handler = read(fields)
            if "States.ALL" in handler.error_equals and index < len(values) - 1:
                fields.note("ErrorEquals", f"States.ALL must be the last of {name}")
            handlers.append(handler)
        return handlers

    def _task(self, fields: Fields, common: dict[str, Any]) -> State:
        more = {"Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds"}
        flow = self._handling(fields, common, "Task", more)
        resource = read_resource(fields) or Resource("", "", "", sdk=False, pattern="request_response")
        timeout, heartbeat = fields.value.get("TimeoutSeconds"), fields.value.get("HeartbeatSeconds")
        if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
            fields.note("HeartbeatSeconds", "must be less than TimeoutSeconds")
        return Task(
            **flow,
            resource=resource,
            arguments=fields.template("Arguments"),
            timeout=fields.computed_number("TimeoutSeconds", 1, MAX_SECONDS),
            heartbeat=fields.computed_number("HeartbeatSeconds", 1, MAX_SECONDS),
        )

    def _parallel(self, fields: Fields, common: dict[str, Any]) -> State:
        flow = self._handling(fields, common, "Parallel", {"Branches", "Arguments"})
        branches = fields.get("Branches", list, required=True)
        if branches is not None and not branches:
            fields.note("Branches", "must have at least one branch")
        graphs = []
        for index, value in enumerate(branches or []):
            if not isinstance(value, dict):
                fields.note(f"Branches[{index}]", "a branch must be an object")
                continue
            branch = Fields(self._notes, value, f"{fields.where}/Branches[{index}]")
            branch.only({"StartAt", "States"}, "a branch")
            graphs.append(self.graph(branch))
        return Parallel(
            **flow,
            branches=tuple(graph for graph in graphs if graph is not None),
            arguments=fields.template("Arguments"),
        )

    def _map(self, fields: Fields, common: dict[str, Any]) -> State | None:
        processor = fields.get("ItemProcessor", dict, required=True)
        config = (processor or {}).get("ProcessorConfig", {})
        mode = config.get("Mode", "INLINE") if isinstance(config, Mapping) else None
        if mode == "DISTRIBUTED":
            flow = self._handling(fields, common, "Map with a distributed processor", DISTRIBUTED_FIELDS)
            return read_distributed_map(fields, flow, self.graph)
        if mode != "INLINE":
            fields.note("ItemProcessor/ProcessorConfig/Mode", "must be INLINE or DISTRIBUTED")
        more = {"Items", "ItemSelector", "ItemProcessor", "MaxConcurrency"}
        flow = self._handling(fields, common, "Map with an inline processor", more)
        if processor is None:
            return None
        inner = Fields(self._notes, processor, f"{fields.where}/ItemProcessor")
        inner.only({"ProcessorConfig", "StartAt", "States"}, "an inline ItemProcessor")
        if isinstance(config, Mapping):
            Fields(self._notes, config, f"{inner.where}/ProcessorConfig").only(
                {"Mode"}, "an inline ProcessorConfig"
            )
        items = fields.value.get("Items")
        if "Items" in fields.value and not isinstance(items, list) and not is_expression(items):
            fields.note("Items", "must be an array or a JSONata expression")
        graph = self.graph(inner)
        if graph is None:
            return None
        return Map(
            **flow,
            processor=graph,
            items=fields.template("Items"),
            item_selector=fields.template("ItemSelector"),
            max_concurrency=fields.computed_number("MaxConcurrency", 0, MAX_SECONDS),
        )


def _retrier(fields: Fields) -> Retrier:
    allowed = {
        "ErrorEquals",
        "IntervalSeconds",
        "MaxAttempts",
        "BackoffRate",
        "MaxDelaySeconds",
        "JitterStrategy",
    }
    fields.only(allowed, "a retrier")
    jitter = fields.value.get("JitterStrategy", "NONE")
    if jitter not in {"FULL", "NONE"}:
        fields.note("JitterStrategy", "must be FULL or NONE")
    interval = fields.number("IntervalSeconds", 1, MAX_SECONDS, 1)
    longest = fields.number("MaxDelaySeconds", 1, MAX_RETRY_DELAY)
    if longest is not None and longest <= interval:
        fields.note("MaxDelaySeconds", "must be greater than IntervalSeconds")
    return Retrier(
        fields.errors(),
        interval=int(interval),
        max_attempts=int(fields.number("MaxAttempts", 0, MAX_SECONDS, 3)),
        backoff_rate=float(fields.number("BackoffRate", 1, MAX_SECONDS, 2.0, whole=False)),
        max_delay=None if longest is None else int(longest),
        full_jitter=jitter == "FULL",
    )


def _catcher(fields: Fields) -> Catcher:
    fields.only({"ErrorEquals", "Next", "Assign", "Output"}, "a catcher")
    following = fields.get("Next", str, required=True) or ""
    return Catcher(fields.errors(), following, fields.assign(), fields.template("Output"))
