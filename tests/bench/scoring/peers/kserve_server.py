import sys

import kserve
import numpy as np


class Model(kserve.Model):
    def __init__(self):
        super().__init__("m")
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        numbers = np.asarray(payload["instances"])
        return {"predictions": [float(numbers @ np.ones(len(numbers)))]}


if __name__ == "__main__":
    kserve.ModelServer(
        http_port=int(sys.argv[1]), workers=1, enable_grpc=False, access_log_format=None
    ).start([Model()])
