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
# Only in a container of a fan-out step: which shard is its own.
SHARD: Final = "NIGHTLATCH_SHARD"

# Added by the runtime for the job.
TOKEN: Final = "NIGHTLATCH_TOKEN"  # noqa: S105  (a fencing number, not a secret)
CHECKPOINT_DIR: Final = "NIGHTLATCH_CHECKPOINT_DIR"
OUTPUT_DIR: Final = "NIGHTLATCH_OUTPUT_DIR"
PREVIOUS_DIR: Final = "NIGHTLATCH_PREVIOUS_DIR"

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
)
SET_BY_RUNTIME: Final = (TOKEN, CHECKPOINT_DIR, OUTPUT_DIR, PREVIOUS_DIR)
