import sys

import litserve
import numpy as np


class Api(litserve.LitAPI):
    def setup(self, device):
        pass

    def predict(self, request):
        numbers = np.asarray(request["data"])
        return float(numbers @ np.ones(len(numbers)))


if __name__ == "__main__":
    server = litserve.LitServer(Api(api_path="/score"), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="error")
