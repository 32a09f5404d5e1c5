"""ECS for the local AWS: real processes, or Docker, behind the API that AWS speaks.

    ecs = create(options, endpoint="http://127.0.0.1:4566", aws=aws, bus=bus, clock=SystemClock())
    aws.provide("ecs", ecs)          # every operation; HTTP target AmazonEC2ContainerServiceV20141113.*
    await nursery.start(ecs.run)       # before the first request is accepted
    task = await ecs.wait_stopped(task_arn)
    status, body = ecs.metadata(path)  # answers GET {path} for every path under /v4/

How the server wires it: bind the socket first (``endpoint`` goes into every task's environment), create,
``provide``, start ``run`` in the server's nursery before the first request is accepted, and route ``/v4/``
to ``metadata``. Tasks that a crash left unfinished are reaped in the background after the start and become
STOPPED (``InfrastructureHealth``, "The local AWS restarted ...") only when nothing of them is left.
Cancelling ``run`` is an orderly end: tasks get SIGTERM, a moment, SIGKILL, and are recorded as STOPPED.
Everything is kept in ``<state>/ecs.sqlite`` and ``<state>/tasks/``; to wipe is to remove both.

Two files in the state directory let tests and demonstrations do what only AWS does by itself:
``hold-provisioning`` (while it exists, tasks stay in PROVISIONING) and ``no-capacity`` (while it exists,
RunTask answers with a ``failures`` entry for lack of capacity).
"""

from nightlatch.local.ecs.service import Ecs, create

__all__ = ["Ecs", "create"]
