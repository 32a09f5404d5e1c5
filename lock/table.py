"""The lock table, as whoever provisions it creates it. The client never does.

There is no secondary index: one on the owner would double the cost of every write.
"""

from typing import Any, Final

TIME_TO_LIVE: Final = {"Enabled": True, "AttributeName": "ttl"}
"""For `update_time_to_live`: collects free items only, because a lock in use carries no `ttl`."""


def table_definition(name: str, *, deletion_protection: bool = False) -> dict[str, Any]:
    """The arguments of `client.create_table`.

    Args:
        name: 3 to 255 letters, digits, `_`, `-` or `.`.
        deletion_protection: for every environment whose locks matter: deleting the table under a holder
            forgets who may run.
    """
    return {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "lock_key", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "lock_key", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": deletion_protection,
    }
