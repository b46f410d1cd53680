"""Peers of the service, each started in an environment of its own by bench/serve.py.

python peers_serve.py NAME PORT MODEL, where MODEL is `model.onnx`, or for Keras an npz of weights.
"""

import sys

import numpy as np

NAME, PORT, MODEL = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def session():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])


def answer(probabilities):
    best = int(probabilities.argmax())
    return {
        "label": str(best),
        "confidence": float(probabilities[best]),
        "probabilities": {str(i): float(p) for i, p in enumerate(probabilities)},
    }


def serve_fastapi(predict):
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Question(BaseModel):
        images: list[list[int]]

    app = FastAPI()

    @app.post("/v1/predict")
    async def handler(question: Question):
        x = np.array(question.images, np.uint8).reshape(-1, 28, 28)
        return {"predictions": [answer(p) for p in predict(x)]}

    uvicorn.run(app, port=PORT, log_level="error", access_log=False)


def starlette():
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    run = session().run

    async def handler(request):
        x = np.array((await request.json())["images"], np.uint8).reshape(-1, 28, 28)
        found = run(["probabilities"], {"image": x})[0]
        return JSONResponse({"predictions": [answer(p) for p in found]})

    app = Starlette(routes=[Route("/v1/predict", handler, methods=["POST"])])
    uvicorn.run(app, port=PORT, log_level="error", access_log=False)


def fastapi():
    run = session().run
    serve_fastapi(lambda x: run(["probabilities"], {"image": x})[0])


def keras():
    import keras

    stored = np.load(MODEL)
    model = keras.Sequential([keras.Input((784,))])
    for i in range(len(stored) // 2):
        is_last = i == len(stored) // 2 - 1
        model.add(keras.layers.Dense(stored[f"b{i}"].size, "softmax" if is_last else "relu"))
        model.layers[-1].set_weights([stored[f"w{i}"], stored[f"b{i}"]])
    serve_fastapi(lambda x: model.predict(x.reshape(-1, 784) / np.float32(255), verbose=0))


if NAME == "litserve":  # its workers import this file again, and look for the class
    import litserve as ls

    class Api(ls.LitAPI):
        def setup(self, device):
            self.session = session()

        def decode_request(self, request):
            return np.array(request["images"], np.uint8).reshape(28, 28)

        def batch(self, inputs):
            return np.stack(inputs)

        def predict(self, x):
            return self.session.run(["probabilities"], {"image": x})[0]

        def unbatch(self, output):
            return list(output)

        def encode_response(self, output):
            return {"predictions": [answer(output)]}


def litserve():
    api = Api(max_batch_size=32, batch_timeout=0.002, api_path="/v1/predict")
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(port=PORT, generate_client_file=False, log_level="error", num_api_servers=1)


if __name__ == "__main__":
    peers = {"starlette": starlette, "fastapi": fastapi, "keras": keras, "litserve": litserve}
    peers[NAME]()
