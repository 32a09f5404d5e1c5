"""AWS clients for one account and region, made when first used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

from nightlatch.installation import LOCAL_REGION

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_ecs import ECSClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_scheduler import EventBridgeSchedulerClient
    from types_boto3_ssm import SSMClient
    from types_boto3_stepfunctions import SFNClient
    from types_boto3_sts import STSClient

# Standard mode retries throttling and transient faults with jittered exponential backoff.
# https://docs.aws.amazon.com/boto3/latest/guide/retries.html
_RETRIES = {"mode": "standard", "total_max_attempts": 5}
_LOCAL_CREDENTIAL = "nightlatch-local"


class Clients:
    """Hands out boto3 clients, one per service.

    Args:
        session: Where credentials and region come from.
        endpoint_url: Another endpoint than AWS's own: the local AWS.
        user_agent: Added to every request, so that an audit trail shows which program called.
    """

    def __init__(
        self, session: boto3.Session, *, endpoint_url: str | None = None, user_agent: str = "nightlatch"
    ) -> None:
        self.session = session
        self.endpoint_url = endpoint_url
        self._made: dict[str, Any] = {}
        self._config = Config(
            retries=cast("Any", _RETRIES),
            connect_timeout=2 if endpoint_url else 10,
            read_timeout=30,
            user_agent_extra=user_agent,
        )

    @classmethod
    def at_aws(cls, *, profile: str | None = None, region: str | None = None) -> Clients:
        """Clients that use the ordinary AWS credential chain."""
        return cls(boto3.Session(profile_name=profile, region_name=region))

    @classmethod
    def at_endpoint(cls, endpoint_url: str, *, region: str | None = None) -> Clients:
        """Clients of a local AWS. The credentials are made up, so no real ones can ever leak to it."""
        session = boto3.Session(
            aws_access_key_id=_LOCAL_CREDENTIAL,
            aws_secret_access_key=_LOCAL_CREDENTIAL,
            region_name=region or LOCAL_REGION,
        )
        return cls(session, endpoint_url=endpoint_url)

    @property
    def region(self) -> str:
        """The region the clients talk to."""
        return self.session.region_name or LOCAL_REGION

    def client(self, service: str) -> Any:
        """The client of one service, under boto3's name for it."""
        if service not in self._made:
            make = cast("Any", self.session.client)
            self._made[service] = make(service, endpoint_url=self.endpoint_url, config=self._config)
        return self._made[service]

    @cached_property
    def stepfunctions(self) -> SFNClient:
        """Step Functions: runs."""
        return cast("SFNClient", self.client("stepfunctions"))

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """DynamoDB: locks and records of runs."""
        return cast("DynamoDBClient", self.client("dynamodb"))

    @cached_property
    def ecs(self) -> ECSClient:
        """ECS: containers."""
        return cast("ECSClient", self.client("ecs"))

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """CloudWatch Logs: what containers say."""
        return cast("CloudWatchLogsClient", self.client("logs"))

    @cached_property
    def scheduler(self) -> EventBridgeSchedulerClient:
        """EventBridge Scheduler."""
        return cast("EventBridgeSchedulerClient", self.client("scheduler"))

    @cached_property
    def ssm(self) -> SSMClient:
        """Systems Manager: the installation's record."""
        return cast("SSMClient", self.client("ssm"))

    @cached_property
    def sts(self) -> STSClient:
        """STS: who the caller is."""
        return cast("STSClient", self.client("sts"))
