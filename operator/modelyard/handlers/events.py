"""One handler for each kind: each kopf event of an object puts its key into the work queue.

kopf calls a handler when it lists an object (event type None), and when an object is created, changed or
deleted. The handlers are coroutines because kopf runs plain functions in threads, and the cache and the
queue belong to the event loop. `on.event` is kopf's handler without progress storage, finalizers or retries:
the queue owns order, pauses and retries.
"""

from __future__ import annotations

from typing import Any

import kopf

from modelyard.api.kinds import IMAGE, MANIFEST, MODEL, SERVICE
from modelyard.api.names import GROUP, VERSION


@kopf.on.event(GROUP, VERSION, MODEL.plural)
async def model_event(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Queue a Model, and on its deletion the Manifests that refer to it."""
    memo.controller.observe(MODEL, event["type"], event["object"])


@kopf.on.event(GROUP, VERSION, MANIFEST.plural)
async def manifest_event(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Queue a Manifest, and on its deletion the Images that refer to it."""
    memo.controller.observe(MANIFEST, event["type"], event["object"])


@kopf.on.event(GROUP, VERSION, IMAGE.plural)
async def image_event(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Queue an Image, and on its deletion the Services that refer to it."""
    memo.controller.observe(IMAGE, event["type"], event["object"])


@kopf.on.event(GROUP, VERSION, SERVICE.plural)
async def service_event(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Queue a Service."""
    memo.controller.observe(SERVICE, event["type"], event["object"])
