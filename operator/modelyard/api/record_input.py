"""ControllerRevisions as input: data and annotations are validated before anything uses them.

A user with rights on ControllerRevisions may record any data as a version, and change any annotation. So a
record is validated as the spec of an object is.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from pydantic import ValidationError

from modelyard.api import labels
from modelyard.api.base import ApiType
from modelyard.api.kinds import Kind
from modelyard.api.names import GROUP, REGISTRATION, is_object_name
from modelyard.api.status import ErrorResponse, ImageTimeline, State
from modelyard.kube.types import Json

NOT_CONTENT: Final = {"description", "tags"}
_MAX_REGISTRATION: Final = 262_144  # bytes of all annotations of an object, which had this one
_MAX_PROBLEM: Final = 300  # characters
_LOCATION: Final = re.compile(r"[a-zA-Z0-9][\w.:/\[\]-]{0,1000}@sha256:[0-9a-f]{64}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_STATES: Final = frozenset(State)


def content_from(spec: ApiType) -> Json:
    """Return the content of a version that records a spec: the fields that are not the default.

    Description and tags are no content: a change of them creates no version.
    """
    return spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude_none=True, exclude=NOT_CONTENT
    )


def parse_content(kind: Kind, data: Json) -> Json:
    """Return the data of a ControllerRevision as validated content, without unknown fields.

    Raises pydantic's ValidationError for data that is no content of the kind.
    """
    content = content_from(kind.spec.model_validate(data))
    return content | ({REGISTRATION: data[REGISTRATION]} if REGISTRATION in data else {})


def content_problem(kind: Kind, data: Any) -> str:
    """Return the reason why data is no content of a kind, an empty string for valid content."""
    try:
        kind.spec.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        return f"{path}: {first['msg']}"[:_MAX_PROBLEM].removeprefix(": ")
    registration = data.get(REGISTRATION, "")
    if not isinstance(registration, str) or len(registration) > _MAX_REGISTRATION:
        return f"{REGISTRATION} is not a text"
    return ""


def valid_annotations(annotations: Mapping[str, str]) -> Json:
    """Return the annotations of this API's group, without those that no release writes.

    Without the annotation of a step, the operator does the step again and writes the annotation.
    """
    return {
        key: value
        for key, value in annotations.items()
        if key.startswith(GROUP) and (key not in _VALID or _VALID[key](value))
    }


def _is_state(text: str) -> bool:
    return text in _STATES


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))


def _is_timestamp(text: str) -> bool:
    try:
        return dt.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _is_error(text: str) -> bool:
    try:
        ErrorResponse.model_validate_json(text)
    except ValidationError:
        return False
    return True


def _is_timeline(text: str) -> bool:
    try:
        times = ImageTimeline.model_validate_json(text).to_json()
    except ValidationError:
        return False
    return all(map(_is_timestamp, times.values()))


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _is_location(text: str) -> bool:
    return bool(_LOCATION.fullmatch(text))


_VALID: Final[dict[str, Callable[[str], bool]]] = {
    labels.STATE: _is_state,
    labels.ENDED: _is_timestamp,
    labels.ERROR: _is_error,
    labels.ATTEMPTS: _is_number,
    labels.COUNTED_ATTEMPTS: _is_number,
    labels.IMAGE_LOCATION: _is_location,
    labels.BUILD_TIMES: _is_timeline,
    labels.BUILD_LOG: is_object_name,
    labels.ABOUT: _is_json_object,
}
