import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Model(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        numbers = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        result = np.array([numbers @ np.ones(len(numbers))])
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("result", result)])
