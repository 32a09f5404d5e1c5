from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.ecs.names import Names, cluster_name
from nightlatch.local.ecs.paging import page

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlatch.local.ecs.store import Store
    from nightlatch.local.ecs.tags import Tags

_DEFAULT_SETTINGS = [{"name": "containerInsights", "value": "disabled"}]


class Clusters:
    """Clusters: a name that tasks run under. A deleted one stays visible as INACTIVE, as on AWS."""

    def __init__(self, store: Store, names: Names, tags: Tags) -> None:
        self._store = store
        self._names = names
        self._tags = tags
        self._clusters: dict[str, dict[str, Any]] = store.all("cluster")
        self.count_tasks: Callable[[str], tuple[int, int]] = lambda _: (0, 0)
        """Pending and running tasks of a cluster name; whoever runs tasks sets it."""

    def require(self, reference: str | None) -> str:
        """The name of an active cluster.

        Raises:
            ApiError: ``ClusterNotFoundException``.
        """
        name = cluster_name(reference)
        cluster = self._clusters.get(name)
        if cluster is None:
            raise ApiError("ClusterNotFoundException", "Cluster not found.")
        if cluster["status"] != "ACTIVE":
            raise ApiError("ClusterNotFoundException", "The referenced cluster was inactive.")
        return name

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateCluster. Creating one that exists gives the existing one."""
        name = cluster_name(request.get("clusterName"))
        existing = self._clusters.get(name)
        if existing is None or existing["status"] != "ACTIVE":
            cluster = {
                "clusterArn": self._names.cluster(name),
                "clusterName": name,
                "status": "ACTIVE",
                "settings": request.get("settings") or list(_DEFAULT_SETTINGS),
                "capacityProviders": request.get("capacityProviders", []),
                "defaultCapacityProviderStrategy": request.get("defaultCapacityProviderStrategy", []),
            }
            for member in ("configuration", "serviceConnectDefaults"):
                if request.get(member):
                    cluster[member] = request[member]
            self._tags.replace(str(cluster["clusterArn"]), request.get("tags", []))
            self._save(name, cluster)
        return {"cluster": self._describe(name, {"TAGS", "SETTINGS", "CONFIGURATIONS"})}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeClusters."""
        found, failures = [], []
        include = set(request.get("include", []))
        for reference in request.get("clusters") or ["default"]:
            name = cluster_name(reference)
            if name in self._clusters:
                found.append(self._describe(name, include))
            else:
                failures.append({"arn": self._names.cluster(name), "reason": "MISSING"})
        return {"clusters": found, "failures": failures}

    def list_all(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListClusters."""
        active = [c["clusterArn"] for c in self._clusters.values() if c["status"] == "ACTIVE"]
        return page(sorted(active), request, "clusterArns")

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateCluster and UpdateClusterSettings."""
        name = self.require(request.get("cluster"))
        cluster = self._clusters[name]
        for setting in request.get("settings", []):
            others = [s for s in cluster["settings"] if s["name"] != setting["name"]]
            cluster["settings"] = [*others, setting]
        for member in ("configuration", "serviceConnectDefaults"):
            if request.get(member):
                cluster[member] = request[member]
        self._save(name, cluster)
        return {"cluster": self._describe(name, {"TAGS", "SETTINGS", "CONFIGURATIONS"})}

    def put_capacity_providers(self, request: dict[str, Any]) -> dict[str, Any]:
        """PutClusterCapacityProviders."""
        name = self.require(request.get("cluster"))
        cluster = self._clusters[name]
        for provider in request.get("capacityProviders", []):
            if provider not in {"FARGATE", "FARGATE_SPOT"}:
                raise ApiError(
                    "InvalidParameterException",
                    f"The specified capacity provider '{provider}' was not found: there are FARGATE and"
                    " FARGATE_SPOT.",
                )
        cluster["capacityProviders"] = request.get("capacityProviders", [])
        cluster["defaultCapacityProviderStrategy"] = request.get("defaultCapacityProviderStrategy", [])
        self._save(name, cluster)
        return {"cluster": self._describe(name, {"TAGS", "SETTINGS", "CONFIGURATIONS"})}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteCluster."""
        name = self.require(request.get("cluster"))
        if any(self.count_tasks(name)):
            raise ApiError(
                "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
            )
        self._save(name, {**self._clusters[name], "status": "INACTIVE"})
        return {"cluster": self._describe(name, {"TAGS", "SETTINGS"})}

    def default_strategy(self, name: str) -> list[dict[str, Any]]:
        """The capacity provider strategy of tasks that name neither launch type nor strategy."""
        return [dict(item) for item in self._clusters[name]["defaultCapacityProviderStrategy"]]

    def _save(self, name: str, cluster: dict[str, Any]) -> None:
        self._store.put("cluster", name, cluster)
        self._clusters[name] = cluster

    def _describe(self, name: str, include: set[str]) -> dict[str, Any]:
        cluster = dict(self._clusters[name])
        pending, running = self.count_tasks(name)
        cluster.update(
            registeredContainerInstancesCount=0,
            runningTasksCount=running,
            pendingTasksCount=pending,
            activeServicesCount=0,
            statistics=[],
            tags=self._tags.of(cluster["clusterArn"]) if "TAGS" in include else [],
        )
        if "SETTINGS" not in include:
            cluster["settings"] = []
        if "CONFIGURATIONS" not in include:
            cluster.pop("configuration", None)
        return cluster
