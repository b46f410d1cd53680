"""MNIST in ten lines: load, train, measure, predict, open again."""

import tenfold

data = tenfold.load("mnist")  # embedded: no download
run = tenfold.train(data, hidden=[128], epochs=5, seed=0)  # 20 epochs without `epochs`
print(run)
print("accuracy", run.evaluation.accuracy)  # on the official test part, with its 95% interval
answer = run.model.predict_one(data.x[60_000])
print(answer.label, answer.confidence)
print(answer.as_dict())  # the softmax row, by label
model = tenfold.open(run.path).model  # later, elsewhere: loads neither Keras nor JAX
print(model.predict(data.x[60_000:60_005]).labels, "true", data.y[60_000:60_005])
