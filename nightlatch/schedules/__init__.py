"""Schedule expressions as AWS reads them: when does ``cron``, ``rate`` or ``at`` fire?

    expression = parse("cron(0 6 * * ? *)", "Asia/Tokyo")
    expression.next_times(after, 3)       # aware datetimes in UTC
    expression.anomalies(after, until)    # local times that a change of clocks skips or repeats

Pure: no clock, no I/O. Sources: EventBridge Scheduler user guide, "Schedule types"; EventBridge user guide,
"Cron expressions reference".
"""

from nightlatch.schedules.cron import Cron
from nightlatch.schedules.expression import Anomaly, At, CronIn, Expression, Rate, parse
from nightlatch.schedules.faults import ScheduleError

__all__ = ["Anomaly", "At", "Cron", "CronIn", "Expression", "Rate", "ScheduleError", "parse"]
