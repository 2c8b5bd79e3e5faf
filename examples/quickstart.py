"""The README's ten lines: train on the bundled digits, score, predict, save."""

import nnfast as nn

(x, y), (x_test, y_test) = nn.datasets.digits.load_data()
model = nn.Sequential(
    [nn.layers.Flatten(), nn.layers.Dense(128, activation="relu"), nn.layers.Dense(10, activation="softmax")],
    seed=0,
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x / 16, y, epochs=30, validation_split=0.1)
print(model.evaluate(x_test / 16, y_test), model.predict(x_test[:1]).argmax())
model.save("digits.safetensors")
