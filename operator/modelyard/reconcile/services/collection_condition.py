"""Condition DataCollection of a Service."""

from __future__ import annotations

from typing import Final

from modelyard.api.conditions import value_of
from modelyard.api.service import ServiceSpec
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Condition
from modelyard.resources.collection import is_offered

DATA_COLLECTION: Final = "DataCollection"
NOT_CONFIGURED: Final = "NotConfigured"
# Reasons without a report of a side-car; the first one is that of releases without the feature.
_WITHOUT_REPORT: Final = frozenset({"NotSupported", NOT_CONFIGURED})


def collection_conditions(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> dict[str, Condition]:
    """Return the condition of a Service that collects records, by type.

    The condition of the status stays until the first report, so that a start of the operator writes nothing.
    """
    if not spec.collects:
        ctx.collection_reports.forget(obj.key)
        return {}
    if not is_offered(spec, ctx.settings.data_collection):
        ctx.collection_reports.forget(obj.key)
        return {DATA_COLLECTION: (False, NOT_CONFIGURED, _not_configured(spec))}
    condition = ctx.collection_reports.get(obj.key) or _reported(obj)
    return {DATA_COLLECTION: condition or (None, "NoReport", "the collectors have not told their state yet")}


def _not_configured(spec: ServiceSpec) -> str:
    collection = spec.data_collection
    value = "storage.url" if collection and collection.storage_enabled else "eventHub.bootstrapServers"
    return (
        f"dataCollection has no effect: the chart sets neither dataCollection.{value} nor"
        " dataCollection.secretName"
    )


def _reported(obj: CustomObject) -> Condition | None:
    condition = obj.condition(DATA_COLLECTION)
    if condition is None or condition["reason"] in _WITHOUT_REPORT:
        return None
    return value_of(condition), condition["reason"], condition["message"]
