"""Step Functions for the local AWS: machines, versions, aliases, executions and their history.

states = StepFunctions(path, region=..., account=..., aws=aws, bus=bus, clock=SystemClock(), tasks=ecs)
aws.provide("stepfunctions", states)
await nursery.start(states.run)  # executions live in it; cancelling it aborts them
states.announce()                # once rules listen: tell of executions that a crash or stop ended
"""

from nightlatch.local.stepfunctions.service import StepFunctions

__all__ = ["StepFunctions"]
