"""Calls of drivers, each a heading and its code. A program sets `result`, and has a `frame`."""

from typing import Final

AI_MONITORING: Final = r"""
## no context
result = [
    type(Collector(name="n").collect(frame)).__name__,
    bool(Collector(name="n").collect(frame).get_id()),
]

## a context of inputs for outputs
c = Collector(name="model_inputs").collect(frame)
result = Collector(name="model_outputs").collect(frame, c)

## own context
result = Collector(name="n").collect(frame, Basic(id="mine"))

## own context by keyword
result = Collector(name="n").collect(data=frame, correlation_context=Basic("mine", 5, {"k": "v"}))

## the same context is returned
c = Basic("mine")
result = Collector(name="n").collect(frame, c) is c

## context with an id of None
c = Basic("mine")
c.id = None
result = Collector(name="n").collect(frame, c).get_id()

## context with a number as id
result = Collector(name="n").collect(frame, Basic(5))

## context with an id that is not ASCII
result = Collector(name="n").collect(frame, Basic("é"))

## context with an empty id
c = Basic()
c.id = ""
result = Collector(name="n").collect(frame, c)

## subclass of the context
class Own(Basic):
    def get_id(self):
        return "own"


result = Collector(name="n").collect(frame, Own())

## context without a time
result = Collector(name="n").collect(frame, Correlation())

## a text as context
result = Collector(name="n").collect(frame, "mine")

## a text as context with on_error
result = Collector(name="n", on_error=errors.append).collect(frame, "mine")

## wrapped context
w = context.get_context_wrapper(Basic("mine", 5, {"k": "v"}), True, "m")
result = [
    Collector(name="n").collect(frame, w),
    w.is_success(),
    w.get_message(),
    w.get_timestamp(),
    w.get_headers(),
]

## wrapped context without a time
w = context.get_context_wrapper(Basic("mine"), False, "")
w._context.timestamp = None
result = [w.get_timestamp(), w.get_id()]

## str and repr of contexts
result = [
    str(Basic("a")),
    repr(Basic("b")),
    f"{Basic('c')}",
    str(Correlation()),
    repr(context.get_context_wrapper(Basic("d"), True, "")),
]

## attributes of a context
c = Basic("a", 5, {"k": "v"})
result = [c.id, c.timestamp, c.headers, c.get_id(), c.get_timestamp(), c.get_headers()]

## defaults of a context
c = Basic()
result = [len(c.id), type(c.timestamp).__name__, c.headers, len({Basic().id, Basic().id})]

## empty values of a context
c = Basic("", 0, None)
result = [len(c.id), c.timestamp > 0, c.headers]

## the id of the base, from the class
result = [Correlation.get_id(), Correlation().get_id()]

## get_context()
c = context.get_context()
result = [type(c).__name__, isinstance(c, Correlation), len(c.get_id()) > 0]

## two contexts
result = context.get_context().get_id() == context.get_context().get_id()

## no name
Collector()

## name by position
Collector("n")

## another keyword
Collector(name="n", sample_rate=5)

## a keyword that collect() does not have
Collector(name="n").collect(frame, context=None)

## collect() without data
Collector(name="n").collect()

## an empty name
Collector(name="")

## an empty name with on_error
Collector(name="", on_error=errors.append).collect(frame)

## an empty name and other data
result = Collector(name="", on_error=errors.append).collect(5, Basic("a"))

## None as name with on_error
Collector(name=None, on_error=errors.append).collect(frame)

## a number as name
Collector(name=5)

## a number as name with on_error
Collector(name=5, on_error=errors.append)

## a name with spaces
Collector(name="model inputs").collect(frame)

## a name that is not ASCII
Collector(name="größe").collect(frame)

## a long name
Collector(name="n" * 120).collect(frame)

## a dict as data
Collector(name="n").collect({"a": 1})

## a dict as data with on_error
result = Collector(name="n", on_error=errors.append).collect({"a": 1}, Basic("mine"))

## other data with on_error
c = Collector(name="n", on_error=errors.append)
for one in (None, "x", [1], np.zeros(2), pd.Series([1])):
    c.collect(one)

## on_error that raises
def fail(error):
    raise KeyError("x")


Collector(name="n", on_error=fail).collect(5)

## None as on_error
Collector(name="n", on_error=None).collect(5)

## a frame that changes after collect()
Collector(name="n").collect(frame.copy())
frame["a"] = 5

## the frame is not changed
Collector(name="n").collect(frame)
result = frame

## twice
c = Collector(name="n")
c.collect(frame, Basic("one"))
c.collect(frame, Basic("two"))

## signatures of Collector
result = [parameters(Collector), parameters(Collector.collect)]

## signatures of contexts
result = [
    parameters(one)
    for one in (
        Basic,
        Correlation,
        context.get_context,
        context.get_context_wrapper,
        Basic.get_id,
        Correlation.get_id,
        Basic.get_timestamp,
        Basic.get_headers,
    )
]

## names of the modules
import azureml.ai.monitoring as m, azureml.ai.monitoring.collector as n

result = [m.Collector is n.Collector, m.__all__]

## names of the module context
result = sorted(
    one
    for one in vars(context)
    if one
    in ("CorrelationContext", "BasicCorrelationContext", "get_context", "get_context_wrapper")
)

## modules within the package
import azureml.ai.monitoring.collector_json
"""

OF_2018: Final = r"""
## inputs
c = Of2018("m", designation="inputs", feature_names=["a", "b"]).collect([1, 2])
result = [
    sorted(c),
    c["$aml_dc_boundary"],
    c["$aml_workspace"],
    c["$aml_service_name"],
    c["$aml_model_name"],
    c["$aml_model_version"],
]

## inputs by position
c = Of2018("m", "inputs", ["a"], "A/B/C", "web", "7").collect([1])
result = [c["$aml_workspace"], c["$aml_service_name"], c["$aml_model_version"]]

## inputs by keyword
c = Of2018(
    model_name="m",
    designation="inputs",
    feature_names=["a"],
    workspace="A/B/C",
    webservice_name="web",
    model_version=7,
    collection_name="x",
).collect(input_data=[1])
result = [c["$aml_workspace"], c["$aml_service_name"], c["$aml_model_version"]]

## id of the user
c = Of2018("m", designation="inputs").collect([1], "user")
result = c["$aml_dc_correlation_id"]

## id of the user by keyword
c = Of2018("m", designation="inputs").collect([1], user_correlation_id="user")
result = c["$aml_dc_correlation_id"]

## the request id of inputs
result = Of2018("m", designation="inputs").collect([1])["$aml_request_id"]

## time of the correlation
c = Of2018("m", designation="inputs").collect([1])
result = type(datetime.datetime.fromisoformat(c["$aml_dc_scoring_timestamp"]).tzinfo).__name__

## inputs and predictions, lists
c = Of2018("m", designation="inputs", feature_names=["a"]).collect([1])
p = Of2018("m", designation="predictions", feature_names=["b"])
result = p.collect(p.add_correlations([2], c))

## inputs and predictions, arrays
c = Of2018("m", designation="inputs", feature_names=["a"]).collect(np.array([1]))
p = Of2018("m", designation="predictions", feature_names=["b"])
result = p.collect(p.add_correlations(np.array([[2], [3]]), c))

## inputs and predictions, frames
c = Of2018("m", designation="inputs").collect(frame)
p = Of2018("m", designation="predictions")
result = p.collect(p.add_correlations(pd.DataFrame({"b": [1, 2]}), c))

## predictions with the id of the user
c = Of2018("m", designation="inputs", feature_names=["a"]).collect([1], "user")
p = Of2018("m", designation="labels", feature_names=["b"])
result = p.collect(p.add_correlations([2], c))

## predictions without inputs
result = Of2018("m", designation="predictions", feature_names=["b"]).collect([1])

## predictions with an id
result = Of2018("m", designation="predictions", feature_names=["b"]).collect([1], "user")

## add_correlations of a list
result = len(
    Of2018("m", designation="predictions").add_correlations(
        [1], Of2018("m", designation="inputs").collect([1])
    )
)

## add_correlations of an array
result = list(
    Of2018("m", designation="predictions")
    .add_correlations(np.array([1]), Of2018("m", designation="inputs").collect([1]))
    .shape
)

## add_correlations of a frame
result = len(
    Of2018("m", designation="predictions")
    .add_correlations(frame, Of2018("m", designation="inputs").collect([1]))
    .columns
)

## add_correlations of None
result = Of2018("m", designation="predictions").add_correlations([1], None)

## add_correlations of a dict
result = Of2018("m", designation="predictions").add_correlations({"a": 1}, {})

## add_correlations of an incomplete dict
result = Of2018("m", designation="predictions").add_correlations([1], {})

## add_correlations of a text
result = Of2018("m", designation="predictions").add_correlations([1], "x")

## add_correlations without correlations
Of2018("m", designation="predictions").add_correlations([1])

## the frame is not changed
Of2018("m", designation="inputs").collect(frame)
result = frame

## feature names for fewer values
Of2018("m", designation="predictions", feature_names=["a", "b"]).collect([1])

## feature names and a frame
Of2018("m", designation="predictions", feature_names=["x"]).collect(frame)

## no designation
Of2018("m", feature_names=["a"]).collect([1])

## designation general
result = Of2018("m", designation="general", feature_names=["a"]).collect([1])

## designation signals
result = Of2018("m", designation="signals", feature_names=["a"]).collect([1])

## an unknown designation
Of2018("m", designation="other").collect([1])

## twice
c = Of2018("m", designation="general", feature_names=["a"])
c.collect([1])
c.collect([2])

## no model name
Of2018()

## an unknown keyword
Of2018("m", other=1)

## collect() without data
Of2018("m").collect()

## names of the columns
result = [
    Of2018.AML_DC_CORRELATION_HEADER,
    Of2018.AML_DC_SCORING_TIMESTAMP_HEADER,
    Of2018.AML_DC_BOUNDARY_HEADER,
    Of2018.AML_WORKSPACE_HEADER,
    Of2018.AML_SERVICE_NAME_HEADER,
    Of2018.AML_MODEL_NAME_HEADER,
    Of2018.AML_MODEL_VERSION_HEADER,
    Of2018.AML_REQUEST_ID_HEADER,
]

## attributes
result = Of2018("m", designation="inputs").model_name

## signature of the class
result = parameters(Of2018)

## signatures of the methods
result = [parameters(Of2018.collect), parameters(Of2018.add_correlations)]

## names of the modules
import azureml.monitoring as m, azureml.monitoring.modeldatacollector as n

result = m.ModelDataCollector is n.ModelDataCollector
"""

OF_2017: Final = r"""
## identifier
result = Of2017("m", identifier="RawInput", feature_names=["a"]).collect([1])

## by position
result = Of2017("m", "RawInput", ["a"], "account", "web", "id", "1").collect([1], "user")

## by keyword
Of2017(
    "m",
    identifier="x",
    model_management_account_id="a",
    webservice_name="w",
    model_id="i",
    model_version=1,
).collect(input_data=[1], user_correlation_id="user")

## no identifier
Of2017("m").collect([1])

## identifier inputs
result = Of2017("m", "inputs").collect([1], "user")

## an identifier with a space
Of2017("m", "raw input").collect([1])

## the frame after collect()
Of2017("m", "x").collect(frame)
result = list(frame.columns)

## a frame twice
Of2017("m", "x").collect(frame)
Of2017("m", "y").collect(frame)

## feature names and an array
Of2017("m", "x", ["a", "b"]).collect(np.array([[1, 2], [3, 4]]))

## feature names as a tuple
Of2017("m", "x", ("a",)).collect([1])

## add_correlations
Of2017("m", "x").add_correlations([1], None)

## no model name
Of2017()

## an unknown keyword
Of2017("m", other=1)

## signature of the class
result = parameters(Of2017)

## signature of collect()
result = parameters(Of2017.collect)

## names of the modules
import azureml.datacollector as m, azureml.datacollector.modeldatacollector as n

result = m.ModelDataCollector is n.ModelDataCollector
"""
