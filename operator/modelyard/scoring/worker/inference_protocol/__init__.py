"""The Open Inference Protocol v2 in the worker: tensors in, run(), tensors out, as JSON or as binary data.

    request_body   from bytes to an InferenceRequest with its tensors
    parameters     from tensors to the arguments of run()
    outputs        from the result of run() to tensors
    response_body  from tensors to bytes
    inference      one request, with all of these
    protocol       the metadata of one driver at its start, and its inferences
    descriptions   the inputs and outputs in the metadata
    samples        the parameter types of inference_schema's decorators
    tensors        elements of a tensor as a numpy array, or as nested lists
    datatypes      the table of data types

numpy is used if the driver has imported numpy. Without numpy, tensors are lists. The specification is
https://github.com/kserve/open-inference-protocol. The binary data is Triton's extension
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
"""
