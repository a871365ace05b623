"""A server of kserve whose model returns its inputs: `kserve_model.py PORT`."""

import sys

import kserve
from kserve import InferOutput, InferRequest, InferResponse


class Model(kserve.Model):
    """A model that returns its first input as output-0."""

    def __init__(self):
        super().__init__("m")
        self.ready = True

    async def predict(self, payload: InferRequest, headers=None, response_headers=None):
        one = payload.inputs[0]
        output = InferOutput("output-0", list(one.shape), one.datatype, one.as_numpy())
        return InferResponse(
            payload.id,
            "m",
            [output],
            requested_outputs=payload.request_outputs,
            use_binary_outputs=payload.use_binary_outputs,
        )


if __name__ == "__main__":
    kserve.ModelServer(
        http_port=int(sys.argv[1]), workers=1, enable_grpc=False, access_log_format=None
    ).start([Model()])
