from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError

if TYPE_CHECKING:
    from nightlatch.local.ecs.store import Store

# The settings of an account that never touched them, today.
_DEFAULTS = {
    "serviceLongArnFormat": "enabled",
    "taskLongArnFormat": "enabled",
    "containerInstanceLongArnFormat": "enabled",
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "dualStackIPv6": "enabled",
    "fargateFIPSMode": "disabled",
    "fargateTaskRetirementWaitPeriod": "7",
    "guardDutyActivate": "off",
    "tagResourceAuthorization": "on",
    "defaultLogDriverMode": "non-blocking",
}


class AccountSettings:
    """Account settings: kept and told, without effect on how tasks run here."""

    def __init__(self, store: Store, principal: str) -> None:
        self._store = store
        self._principal = principal
        self._values: dict[str, str] = store.all("setting")

    def put(self, request: dict[str, Any]) -> dict[str, Any]:
        """PutAccountSetting and PutAccountSettingDefault."""
        name = request.get("name", "")
        if name not in _DEFAULTS:
            raise ApiError("InvalidParameterException", f"Setting name '{name}' is invalid.")
        self._values[name] = str(request["value"])
        self._store.put("setting", name, self._values[name])
        return {"setting": self._setting(name)}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteAccountSetting: back to the default."""
        name = request.get("name", "")
        if name not in _DEFAULTS:
            raise ApiError("InvalidParameterException", f"Setting name '{name}' is invalid.")
        self._values.pop(name, None)
        self._store.delete("setting", name)
        return {"setting": self._setting(name)}

    def list_all(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListAccountSettings: what was set, and with ``effectiveSettings`` the defaults too."""
        names = list(_DEFAULTS) if request.get("effectiveSettings") else list(self._values)
        found = [self._setting(name) for name in names if request.get("name") in {None, name}]
        if request.get("value"):
            found = [setting for setting in found if setting["value"] == request["value"]]
        return {"settings": found}

    def _setting(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "value": self._values.get(name, _DEFAULTS[name]),
            "principalArn": self._principal,
            "type": "user",
        }
