from __future__ import annotations

from typing import TYPE_CHECKING

from nightlatch.operations.doctor import examine, own_modules

if TYPE_CHECKING:
    from tests.support.deployments import Environment


def results(environment: Environment) -> dict[str, tuple[str, str | None]]:
    found = examine(environment.deployment, ["report", "report-monthly"], environment.catalog)
    return {finding.check: (finding.result, finding.fix) for finding in found}


def test_a_fresh_environment_is_well(environment: Environment) -> None:
    assert {result for result, _ in results(environment).values()} == {"ok"}


def test_each_fault_names_one_fix_and_the_other_checks_go_on(environment: Environment) -> None:
    clients = environment.deployment.clients
    names = environment.deployment.installation
    clients.dynamodb.delete_table(TableName=names.runs_table)
    clients.logs.delete_log_group(logGroupName=names.log_group)
    clients.scheduler.delete_schedule(GroupName=names.schedule_group, Name="report")
    clients.ecs.delete_cluster(cluster=names.cluster)
    arn = environment.start("report", "report-1")
    environment.hold("reports", arn)
    clients.stepfunctions.stop_execution(executionArn=arn)

    found = list(examine(environment.deployment, ["report"], environment.catalog))

    faults = {finding.check: finding.fix for finding in found if finding.result == "fault"}
    assert faults == dict.fromkeys(("runs table", "log group", "schedules", "cluster"), "terraform apply")
    [warning] = [finding for finding in found if finding.result == "warning"]
    assert warning.check == "locks"
    assert "report-1, which has ended" in warning.found
    assert {"credentials", "clock", "machines"} <= {
        finding.check for finding in found if finding.result == "ok"
    }


def test_a_foreign_package_of_the_same_name_is_found() -> None:
    good = own_modules({"lock": "/ours", "tasks": "/ours"}, "/ours")
    bad = own_modules({"lock": "/ours", "tasks": "/elsewhere"}, "/ours")

    assert [finding.result for finding in good] == ["ok"]
    assert [(finding.result, finding.found) for finding in bad] == [("fault", "tasks comes from /elsewhere")]
