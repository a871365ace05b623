"""The reasons for differences, by package and program."""

from typing import Final

_NAME: Final = "A name is a part of paths: other characters become `_`, and it ends after 100."
_REQUEST_ID: Final = "The id is that of the request, which joins the record with the request's own."
_SAME_DATA: Final = "The data stays as it is. The next record has the correlation id."
_MORE_IS_KEPT: Final = "It is kept as JSON."
_DATES: Final = "Dates and durations are ISO 8601 text. A time zone becomes UTC."
_DIGITS: Final = "pandas writes at most 15 digits as JSON, and no sign of zero."
_NO_JSON: Final = "JSON has neither NaN nor infinity. Both are null, as in frames of pandas."
_MISSING: Final = "A missing time or value is null, as in frames of pandas."
_ROWS: Final = "A list of lists has rows. The package writes one row with texts of lists."
_LENIENT: Final = "The request goes on, and the correlation id is that of the request."

_OF_BOTH: Final = {
    "data: fractions": _DIGITS,
    "data: all digits of a number": _DIGITS,
    "data: dates": _DATES,
    "data: dates with nanoseconds": _DATES,
    "data: dates of a time zone": _DATES,
    "data: days": _DATES,
    "data: durations": _DATES,
    "data: infinity": _NO_JSON,
    "data: a list with NaN": _NO_JSON,
    "data: an array with infinity": _NO_JSON,
    "data: a list with a time that is missing": _MISSING,
    "data: a list of rows": _ROWS,
    "data: an array of three dimensions": "The nested values are lists.",
    "data: an array without dimensions": _MORE_IS_KEPT,
    "data: a value of numpy": _MORE_IS_KEPT,
    "data: a Series": _MORE_IS_KEPT,
}

REASONS: Final = {
    "azureml.ai.monitoring": {
        "no context": _REQUEST_ID,
        "two contexts": _REQUEST_ID,
        "context with a number as id": "It becomes text. The package's own thread fails, and loses the data.",
        "context without a time": "The record has the time of the call.",
        "a name with spaces": _NAME,
        "a name that is not ASCII": _NAME,
        "a long name": _NAME,
        "modules within the package": "The modules of its queue and sender are no interface.",
    },
    "azureml.monitoring": {
        "the request id of inputs": _REQUEST_ID,
        "predictions with an id": "The id is kept for each designation.",
        "add_correlations of a list": _SAME_DATA,
        "add_correlations of an array": _SAME_DATA,
        "add_correlations of a frame": _SAME_DATA,
        "add_correlations of an incomplete dict": _LENIENT,
        "add_correlations of a text": _LENIENT,
        "an unknown designation": "The data is kept under this name. Versions before 0.1.0a15 had any.",
        "an unknown keyword": "Versions before 0.1.0a15 had other ones, such as `identifier`.",
        "signature of the class": "As above.",
        "data: an array of dates": _MISSING,
        **_OF_BOTH,
    },
    "azureml.datacollector": {
        "an identifier with a space": _NAME,
        "the frame after collect()": "The driver's frame is not changed.",
        "a frame twice": "As above.",
        "feature names as a tuple": "A tuple has names, too.",
        "data: an array of dates": _DATES,
        "data: an array of durations": "A duration of an array is the text of numpy.",
        **_OF_BOTH,
    },
}
