"""Section 3.2 of the thesis, "Regression Problem: Wine Quality", as it is printed but for what cannot run.

`tf` is read as nnfast; each other change has a comment. It needs pandas, scikit-learn 1.4 or later and matplotlib (in the
clone, `pip install '.[plot,data]' pandas scikit-learn`), and winequality-white.csv of the UCI Machine Learning Repository,
which is looked for in the current folder, in the one that NNFAST_DATA_DIR names and in the user's cache, or downloaded.
"""

# Instead of `import tensorflow as tf`:
from types import SimpleNamespace

import nnfast

tf = SimpleNamespace(keras=nnfast, nn=nnfast.activations)

import io
import numpy as np
import random
import time
import datetime
try:
    import pandas as pd
    import matplotlib.pyplot as plt
    # Printed: `from sklearn.metrics import mean_squared_error as mse`, called with `squared=False`, an argument that
    # scikit-learn no longer has; the root is a function of its own now.
    from sklearn.metrics import root_mean_squared_error as rmse
except ImportError as error:
    raise SystemExit(f"{error}. In the clone: pip install '.[plot,data]' pandas 'scikit-learn>=1.4'") from None

# Not printed: the network below ends in a ReLU, which with about four of ten seeds gives 0 for every wine from the start
# and never learns (the loss stays at 35.48, and nnfast warns of DeadUnits). This seed is one of the others.
tf.keras.utils.set_random_seed(1)

# Printed: `pd.read_csv("winequality-white.csv", sep=";")`, for which the file must lie in the current folder.
from nnfast.datasets import fetch

published = fetch.load("wine-quality", data_dir=".")["winequality-white.csv"]
data = pd.read_csv(io.BytesIO(published), sep=";")
data

y_train = np.array(data["quality"])
data.pop("quality")
x_train = data.to_numpy()  # printed before the two lines above, which would leave the grade among the inputs, 12 of them

train_size = int(len(x_train) * 0.75)
test_size = len(x_train) - train_size

x_train, x_test = x_train[0:train_size,:], x_train[train_size:len(x_train),:]
y_train, y_test = y_train[0:train_size], y_train[train_size:len(y_train)]

x_train = tf.keras.utils.normalize(x_train, axis=1)
x_test = tf.keras.utils.normalize(x_test, axis=1)

model = tf.keras.models.Sequential()
model.add(tf.keras.layers.InputLayer( (11,) ))
model.add(tf.keras.layers.Flatten())
model.add(tf.keras.layers.Dense(units=128, activation=tf.nn.relu))
model.add(tf.keras.layers.Dense(1, activation=tf.nn.relu))

model.compile(tf.keras.optimizers.SGD(),
              tf.keras.losses.MeanSquaredError())

callback = tf.keras.callbacks.EarlyStopping(monitor='loss', min_delta=0.0001,
    patience=3)
class TimeHistory(tf.keras.callbacks.Callback):
    def on_train_begin(self, logs={}):
        self.times = []
    def on_epoch_begin(self, batch, logs={}):
        self.epoch_time_start = time.time()
    def on_epoch_end(self, batch, logs={}):
        self.times.append(time.time() - self.epoch_time_start)

time_callback = TimeHistory()

mdl = model.fit(x_train, y_train, epochs=1000, batch_size=32, callbacks = [callback,
    time_callback])

num_epochs = range(0, len(mdl.history['loss']))
plt.plot(num_epochs, mdl.history['loss'])
plt.title('model loss')
plt.xlabel('epochs')
plt.ylabel('loss')
plt.show()

print(f"number of epochs: {len(mdl.history['loss'])}, training time: {datetime.timedelta(seconds=int(np.sum(time_callback.times)))}, training loss: {round(mdl.history['loss'][-1], 3)}")

# Printed without `print`, which a notebook does not need.
print((rmse(model.predict(x_train, batch_size=32), y_train), rmse(model.predict(x_test, batch_size=32), y_test)))
