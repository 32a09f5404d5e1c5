"""Reads the fields of a Distributed Map, and names the parts of it that do not run here."""

from collections.abc import Callable
from typing import Any

from statemachine.interpreter.fields import MAX_SECONDS, Fields, read_resource
from statemachine.interpreter.states import DistributedMap, Graph, ItemReader
from statemachine.interpreter.template import is_expression

DISTRIBUTED_FIELDS = {
    *("Items", "ItemReader", "ItemSelector", "ItemProcessor", "MaxConcurrency", "Label"),
    *("ToleratedFailureCount", "ToleratedFailurePercentage", "ItemBatcher", "ResultWriter"),
}
MAX_LABEL = 40
_READER = "only arn:aws:states:::s3:getObject with InputType JSON runs here"


def read_distributed_map(
    fields: Fields, flow: dict[str, Any], read_graph: Callable[[Fields], Graph | None]
) -> DistributedMap | None:
    """Reads the state.

    Args:
        fields: the state's.
        flow: what it has in common with other states.
        read_graph: reads StartAt and States of the processor.
    """
    for name in ("ItemBatcher", "ResultWriter"):
        if name in fields.value:
            fields.note(name, "does not run here; leave it out")
    processor = Fields(fields.notes, fields.value["ItemProcessor"], f"{fields.where}/ItemProcessor")
    processor.only({"ProcessorConfig", "StartAt", "States"}, "an ItemProcessor")
    config = Fields(fields.notes, processor.value["ProcessorConfig"], f"{processor.where}/ProcessorConfig")
    config.only({"Mode", "ExecutionType"}, "a ProcessorConfig")
    if config.value.get("ExecutionType") != "STANDARD":
        config.note("ExecutionType", "must be STANDARD; EXPRESS does not run here")
    label = fields.get("Label", str)
    if label is not None and not 0 < len(label) <= MAX_LABEL:
        fields.note("Label", f"has 1 to {MAX_LABEL} characters")
    items = fields.value.get("Items")
    if "Items" in fields.value and not isinstance(items, list) and not is_expression(items):
        fields.note("Items", "must be an array or a JSONata expression")
    if "Items" in fields.value and "ItemReader" in fields.value:
        fields.note("ItemReader", "a Map has either Items or an ItemReader")
    percentage = fields.value.get("ToleratedFailurePercentage")
    if "ToleratedFailurePercentage" in fields.value and not is_expression(percentage):
        fields.number("ToleratedFailurePercentage", 0, 100, whole=False)
    graph = read_graph(processor)
    if graph is None:
        return None
    return DistributedMap(
        **flow,
        processor=graph,
        items=fields.template("Items"),
        reader=_reader(fields),
        item_selector=fields.template("ItemSelector"),
        max_concurrency=fields.computed_number("MaxConcurrency", 0, MAX_SECONDS),
        tolerated_count=fields.computed_number("ToleratedFailureCount", 0, MAX_SECONDS),
        tolerated_percentage=fields.template("ToleratedFailurePercentage"),
        label=label,
    )


def _reader(state: Fields) -> ItemReader | None:
    value = state.get("ItemReader", dict)
    if value is None:
        return None
    fields = Fields(state.notes, value, f"{state.where}/ItemReader", prefix="ItemReader/")
    fields.only({"Resource", "Arguments", "ReaderConfig"}, "an ItemReader")
    resource = read_resource(fields)
    if resource is not None and (resource.service, resource.action, resource.pattern) != (
        "s3",
        "getObject",
        "request_response",
    ):
        fields.note("Resource", _READER)
    config_value = fields.get("ReaderConfig", dict, required=True) or {}
    config = Fields(
        state.notes, config_value, f"{fields.where}/ReaderConfig", prefix="ItemReader/ReaderConfig/"
    )
    config.only({"InputType", "MaxItems"}, "a ReaderConfig")
    if config_value.get("InputType") != "JSON":
        config.note("InputType", _READER)
    if fields.get("Arguments", dict, required=True) is None or resource is None:
        return None
    arguments = fields.template("Arguments")
    if arguments is None:
        return None
    return ItemReader(resource, arguments, config.computed_number("MaxItems", 0, 100_000_000))
