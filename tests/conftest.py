"""Fixtures that every test may ask for."""

from tests.support.local_aws import local_aws, own_local_aws

__all__ = ["local_aws", "own_local_aws"]
