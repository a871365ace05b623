"""Retries of failed builds: the record of a failure, and the time of the next attempt."""

from __future__ import annotations

import datetime as dt
from typing import Final

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.api.status import ErrorResponse
from modelyard.metrics import BUILD_FAILURES, BUILD_RETRIES
from modelyard.reconcile.builds.failure_table import TABLE, Retry, Row, row_of
from modelyard.reconcile.builds.failures import Failure
from modelyard.reconcile.context import Context
from modelyard.reconcile.outcome import Outcome, failed
from modelyard.reconcile.timestamps import parse_timestamp

_OTHER: Final = "other"  # a code of another release

# Many builds may fail at once, for example with a full disk. Without series at the start, increase() would
# see none of these failures (modelyard.metrics).
for _code in (*TABLE, _OTHER):
    BUILD_FAILURES.labels(code=_code, fault=row_of(_code, transient=True).fault)


def attempts_of(revision: Revision | None) -> int:
    """Return the number of build attempts of a version that have ended."""
    return int(revision.annotations.get(labels.ATTEMPTS, 0)) if revision else 0


def failure_annotations(
    ctx: Context, revision: Revision, failure: Failure, attempt: int
) -> dict[str, str | None]:
    """Return the annotations that record a failed attempt."""
    row = row_of(failure.error.code, transient=failure.transient)
    counted = _counted(revision) + (1 if row.counts else 0)
    retries = not row.is_over(counted, ctx.settings.build)
    # The codes of the table bound the cardinality of the metrics.
    code = failure.error.code if failure.error.code in TABLE else _OTHER
    BUILD_FAILURES.labels(code=code, fault=row.fault).inc()
    if retries:
        BUILD_RETRIES.labels(code=code).inc()
    return {
        labels.ATTEMPTS: str(attempt),
        labels.COUNTED_ATTEMPTS: str(counted),
        labels.RETRY: "true" if retries else None,
        labels.SETTINGS_HASH: row.settings_hash(ctx.settings) or None,
    }


def failed_outcome(ctx: Context, revision: Revision) -> Outcome | None:
    """Return the outcome of a failed version, None if the next attempt is due.

    It is due, too, if another client has removed the record of the failure.
    """
    if not revision.error or not revision.ended:
        return None
    error = ErrorResponse.model_validate(revision.error)
    row = row_of(error.code, transient=labels.RETRY in revision.annotations)
    if _has_new_settings(ctx, revision, row):
        return None
    attempts, settings = attempts_of(revision), ctx.settings.build
    if row.is_over(_counted(revision), settings):
        return failed(error.code, error.message, revision, error=error)
    ended = parse_timestamp(revision.ended)
    due = ended + dt.timedelta(seconds=row.pause_seconds(attempts, settings))
    remaining = (due - ctx.now()).total_seconds()
    if remaining <= 0:
        return None
    bound = f" of {settings.attempts}" if row.retry is Retry.BOUNDED else ""
    message = f"{error.message} (attempt {attempts}{bound}; the operator retries)"
    # Timestamps have whole seconds; half a second more puts the next reconcile after the due time.
    requeue_after = remaining + 0.5
    return failed(error.code, message, revision, error=error, retrying=True, requeue_after=requeue_after)


def _counted(revision: Revision) -> int:
    """Return the number of failures that count as attempts; earlier releases counted all of them."""
    return int(revision.annotations.get(labels.COUNTED_ATTEMPTS, attempts_of(revision)))


def _has_new_settings(ctx: Context, revision: Revision, row: Row) -> bool:
    recorded = revision.annotations.get(labels.SETTINGS_HASH)
    return recorded is not None and recorded != row.settings_hash(ctx.settings)
