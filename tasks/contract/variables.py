"""Names of the environment variables through which a container learns its work.

The state machine sets the first group in the container overrides of RunTask; the runtime adds the second
group for the job it starts. All values are text.
"""

from typing import Final

# Set by the state machine.
JOB: Final = "NIGHTLATCH_JOB"
RUN: Final = "NIGHTLATCH_RUN"
STEP: Final = "NIGHTLATCH_STEP"
ATTEMPT: Final = "NIGHTLATCH_ATTEMPT"
RUN_KEY: Final = "NIGHTLATCH_RUN_KEY"
SCHEDULED_TIME: Final = "NIGHTLATCH_SCHEDULED_TIME"
LOCK_TABLE: Final = "NIGHTLATCH_LOCK_TABLE"
LOCK_KEY: Final = "NIGHTLATCH_LOCK_KEY"
OWNER: Final = "NIGHTLATCH_OWNER"
GRANT: Final = "NIGHTLATCH_GRANT"
DEADLINE: Final = "NIGHTLATCH_DEADLINE"
STOP_GRACE: Final = "NIGHTLATCH_STOP_GRACE"
CHECKPOINT: Final = "NIGHTLATCH_CHECKPOINT"
OUTPUT: Final = "NIGHTLATCH_OUTPUT"
PARAMS: Final = "NIGHTLATCH_PARAMS"
# Around a fan-out, else empty: where a planning step's `shards.json` becomes the list of shards, and where a
# collecting step finds what the shards published, and their list.
SHARD_LIST: Final = "NIGHTLATCH_SHARD_LIST"
COLLECT: Final = "NIGHTLATCH_COLLECT"
COLLECT_LIST: Final = "NIGHTLATCH_COLLECT_LIST"
# Only in a container of a fan-out step: the item of the list as JSON, its place in the list, and "verify",
# because the containers of a fan-out share one grant.
SHARD: Final = "NIGHTLATCH_SHARD"
SHARD_INDEX: Final = "NIGHTLATCH_SHARD_INDEX"
CLAIM: Final = "NIGHTLATCH_CLAIM"

# Added by the runtime for the job.
TOKEN: Final = "NIGHTLATCH_TOKEN"  # noqa: S105  (a fencing number, not a secret)
CHECKPOINT_DIR: Final = "NIGHTLATCH_CHECKPOINT_DIR"
OUTPUT_DIR: Final = "NIGHTLATCH_OUTPUT_DIR"
PREVIOUS_DIR: Final = "NIGHTLATCH_PREVIOUS_DIR"
# Only in a collecting step: one folder for each shard, and `shards.json`.
SHARDS_DIR: Final = "NIGHTLATCH_SHARDS_DIR"

# Set by ECS (and by the local ECS) in every container: the task metadata endpoint, version 4.
METADATA_URI: Final = "ECS_CONTAINER_METADATA_URI_V4"

SET_BY_STATE_MACHINE: Final = (
    JOB,
    RUN,
    STEP,
    ATTEMPT,
    RUN_KEY,
    SCHEDULED_TIME,
    LOCK_TABLE,
    LOCK_KEY,
    OWNER,
    GRANT,
    DEADLINE,
    STOP_GRACE,
    CHECKPOINT,
    OUTPUT,
    PARAMS,
    SHARD_LIST,
    COLLECT,
    COLLECT_LIST,
)
SET_AROUND_A_FAN_OUT: Final = (SHARD_LIST, COLLECT, COLLECT_LIST)
SET_FOR_A_SHARD: Final = (SHARD, SHARD_INDEX, CLAIM)
SET_BY_RUNTIME: Final = (TOKEN, CHECKPOINT_DIR, OUTPUT_DIR, PREVIOUS_DIR)
