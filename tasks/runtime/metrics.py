"""CloudWatch metrics as log lines (embedded metric format), written by hand: it is one JSON object.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Mapping
from typing import Any, Final

NAMESPACE: Final = "Nightlatch"


def metric_line(
    *,
    epoch_ms: int,
    job: str,
    step: str,
    values: Mapping[str, tuple[float, str]],
    properties: Mapping[str, Any],
) -> str:
    """One EMF record, without the line break.

    `values` maps a metric's name to (value, CloudWatch unit). `properties` can be searched in Logs Insights
    and are no dimensions (each value of a dimension is a metric of its own and costs as one).
    """
    record: dict[str, Any] = {
        "_aws": {
            "Timestamp": epoch_ms,
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Job"], ["Job", "Step"]],
                    "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()],
                }
            ],
        },
        "Job": job or "none",
        "Step": step or "none",
        **{name: value for name, (value, _) in values.items()},
        **properties,
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
