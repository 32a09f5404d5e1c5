"""Where one environment of nightlatch lives on AWS.

Every name follows from the environment, so that people can guess it; the SSM parameter
``/nightlatch/{environment}/installation`` holds the same facts, so that nobody has to. Terraform and the
local AWS write it, the command line reads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA_VERSION = 1
"""Version of the parameter's JSON. A reader refuses another one rather than guess."""

LOCAL_ACCOUNT = "000000000000"
LOCAL_REGION = "ap-northeast-1"

# The members of the parameter, all text except ``schema_version`` and ``jobs``.
_TEXT_MEMBERS = (
    "environment",
    "region",
    "account",
    "prefix",
    "lock_table",
    "runs_table",
    "bucket",
    "cluster",
    "log_group",
    "topic_arn",
    "schedule_group",
    "janitor_arn",
    "watchdog_arn",
)


class ClientSource(Protocol):
    """Anything that hands out AWS clients by service name; a ``boto3.Session`` is one."""

    @property
    def client(self) -> Any:
        """A callable from service name to client."""


class InstallationError(Exception):
    """The environment's installation parameter is missing or cannot be understood.

    Attributes:
        code: Stable code for people and scripts to look up.
        hint: What to do about it.
    """

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Installation:
    """The names and ARNs of one environment.

    ``jobs`` maps a job's name to the ARN of its state machine; a job that is not in it has the conventional
    ARN, see :meth:`machine_arn`.
    """

    environment: str
    region: str
    account: str
    prefix: str
    lock_table: str
    runs_table: str
    bucket: str
    cluster: str
    log_group: str
    topic_arn: str
    schedule_group: str
    janitor_arn: str
    watchdog_arn: str
    jobs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    partition: str = "aws"

    @classmethod
    def conventional(
        cls, environment: str, account: str, region: str, partition: str = "aws"
    ) -> Installation:
        """The installation as the naming rules make it, without asking AWS.

        Args:
            environment: ``local``, ``dev``, ``stg``, ``prod`` or another of the jobs file's environments.
            account: Twelve digits.
            region: For example ``ap-northeast-1``.
            partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        """
        prefix = f"nightlatch-{environment}"
        machine = f"arn:{partition}:states:{region}:{account}:stateMachine:{prefix}"
        return cls(
            environment=environment,
            region=region,
            account=account,
            prefix=prefix,
            lock_table=f"{prefix}-locks",
            runs_table=f"{prefix}-runs",
            # Bucket names are shared by every account of the world, hence the account number.
            bucket=f"{prefix}-artifacts-{account}",
            cluster=prefix,
            log_group=f"/{prefix}/tasks",
            topic_arn=f"arn:{partition}:sns:{region}:{account}:{prefix}-notifications",
            schedule_group=prefix,
            janitor_arn=f"{machine}-janitor",
            watchdog_arn=f"{machine}-watchdog",
            partition=partition,
        )

    def with_jobs(self, names: Iterable[str]) -> Installation:
        """The same installation with exactly these jobs, their machines named by convention."""
        arns = {name: self._conventional_machine(name) for name in sorted(names)}
        return replace(self, jobs=MappingProxyType(arns))

    def machine_arn(self, job: str) -> str:
        """The ARN of the job's state machine."""
        return self.jobs.get(job) or self._conventional_machine(job)

    def machine_name(self, job: str) -> str:
        """The name of the job's state machine."""
        return self.machine_arn(job).rpartition(":")[2]

    def execution_arn(self, job: str, run: str) -> str:
        """The ARN of one run. ``run`` is the execution's name."""
        machine = self.machine_name(job)
        return f"arn:{self.partition}:states:{self.region}:{self.account}:execution:{machine}:{run}"

    def family(self, job: str, step: str) -> str:
        """The task definition family of one step. The newest active revision is the one that runs."""
        return f"{self.prefix}-{job}-{step}"

    def parameter_name(self) -> str:
        """The name of the SSM parameter that holds this installation."""
        return parameter_name(self.environment)

    def to_json(self) -> str:
        """The parameter's text: keys sorted, no spaces, as Terraform's ``jsonencode`` writes it."""
        document: dict[str, Any] = {name: getattr(self, name) for name in _TEXT_MEMBERS}
        document["schema_version"] = SCHEMA_VERSION
        document["jobs"] = {name: {"state_machine_arn": arn} for name, arn in self.jobs.items()}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Installation:
        """The installation that :meth:`to_json` wrote.

        Raises:
            InstallationError: The text is of another version, or lacks a member.
        """
        try:
            document = json.loads(text)
            version = document["schema_version"]
            if version != SCHEMA_VERSION:
                raise InstallationError(
                    "INSTALL-002",
                    f"the installation parameter has version {version}, not {SCHEMA_VERSION}",
                    "use the nightlatch version that deployed the environment, or deploy it again",
                )
            jobs = {name: str(entry["state_machine_arn"]) for name, entry in document["jobs"].items()}
            members = {name: str(document[name]) for name in _TEXT_MEMBERS}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InstallationError(
                "INSTALL-003",
                f"the installation parameter cannot be understood: {error!r}",
                "deploy the environment again; Terraform and `nightlatch local up` write this parameter",
            ) from error
        # arn:PARTITION:states:...
        partition = members["janitor_arn"].split(":")[1] if ":" in members["janitor_arn"] else "aws"
        return cls(**members, jobs=MappingProxyType(jobs), partition=partition)

    @classmethod
    def load(cls, clients: ClientSource, environment: str) -> Installation:
        """The installation as the environment's SSM parameter states it.

        Args:
            clients: A ``boto3.Session``, or anything whose ``client("ssm")`` is an SSM client.
            environment: The environment to look up.

        Raises:
            InstallationError: There is no such parameter, or it cannot be understood. Other AWS errors
                (credentials, network) pass through unchanged.
        """
        ssm = clients.client("ssm")
        name = parameter_name(environment)
        try:
            reply = ssm.get_parameter(Name=name)
        except ssm.exceptions.ParameterNotFound as error:
            raise InstallationError(
                "INSTALL-001",
                f"environment {environment!r} is not installed here: there is no SSM parameter {name}",
                "check --env, --region and --profile; `nightlatch local up` makes the environment `local`",
            ) from error
        return cls.from_json(reply["Parameter"]["Value"])

    def _conventional_machine(self, job: str) -> str:
        return f"arn:{self.partition}:states:{self.region}:{self.account}:stateMachine:{self.prefix}-{job}"


def parameter_name(environment: str) -> str:
    """The name of the SSM parameter that holds an environment's installation."""
    return f"/nightlatch/{environment}/installation"
