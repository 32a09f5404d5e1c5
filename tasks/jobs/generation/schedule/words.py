"""The words of the chart, in the language of the site."""

from typing import Final

WORDS: Final = {
    "ja": {
        "title": "工程表", "activity": "作業", "days": "日数", "from": "開始", "to": "終了", "slack": "余裕",
        "finish": "完了", "workdays": "稼働日数", "bound": "下限", "gap": "最適との差",
        "optimal": "最短と証明済み",
        "critical": "余裕なし", "loose": "余裕あり", "off": "休日", "rain": "雨天予備日", "deadline": "期限",
        "milestone": "節目", "resources": "班・機械の山積み", "units": "単位", "weekdays": "月火水木金土日",
        "other": "その他", "at most": "以内", "period": "工期",
    },
    "en": {
        "title": "Construction schedule", "activity": "Activity", "days": "Days", "from": "From", "to": "To",
        "slack": "Slack", "finish": "Finished", "workdays": "Working days", "bound": "Not before",
        "gap": "From the optimum", "optimal": "proved the shortest", "critical": "no slack",
        "loose": "has slack", "off": "day off", "rain": "lost to rain", "deadline": "deadline",
        "milestone": "milestone", "resources": "Crews and equipment", "units": "units",
        "weekdays": "MTWTFSS", "other": "Other", "at most": "at most", "period": "Period",
    },
}  # fmt: skip
