"""Section 3.1 of the thesis, "Classification Problem: MNIST Database", as it is printed.

`tf` is read as nnfast, which is the one change; what the print has lost is put back where a comment says so. It needs
matplotlib and MNIST, which is looked for in the folder that NNFAST_DATA_DIR names and in the user's cache, or downloaded. In the clone,
`pip install '.[plot,data]'` installs what it takes. It trains for some 130 epochs.
"""

# Instead of `import tensorflow as tf`:
from types import SimpleNamespace

import nnfast

tf = SimpleNamespace(keras=nnfast, nn=nnfast.activations)

import random
import time
import datetime
try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise SystemExit(f"{error}. In the clone: pip install '.[plot,data]'") from None

(x_train, y_train), (x_test, y_test) = tf.keras.datasets.mnist.load_data()
images = []
titles = []
for i in range(4):
    r = random.randint(1, 60000)  # as printed: the rows are 0 to 59999, so that once in 60,000 draws this is one too many
    images.append(x_train[r])
    titles.append(f"training images [{r}] = {y_train[r]}")

plt.figure(figsize=(16,16))
for i in range(len(images)):
    plt.subplot(1, len(images), i+1)
    plt.imshow(images[i], cmap=plt.cm.gray)
    plt.title(titles[i])

x_train = tf.keras.utils.normalize(x_train, axis=1)
x_test = tf.keras.utils.normalize(x_test, axis=1)

model = tf.keras.models.Sequential()
model.add(tf.keras.layers.Flatten())
model.add(tf.keras.layers.Dense(units=128, activation=tf.nn.relu))
model.add(tf.keras.layers.Dense(units=10, activation=tf.nn.softmax))

model.compile(tf.keras.optimizers.SGD(),
              tf.keras.losses.SparseCategoricalCrossentropy(),
              metrics = ['accuracy'])

callback = tf.keras.callbacks.EarlyStopping(monitor='accuracy', min_delta=0.0001,
    patience=3)
class TimeHistory(tf.keras.callbacks.Callback):
    def on_train_begin(self, logs={}):
        self.times = []

    def on_epoch_begin(self, batch, logs={}):
        self.epoch_time_start = time.time()

    def on_epoch_end(self, batch, logs={}):
        self.times.append(time.time() - self.epoch_time_start)  # this line and the next are lost in print; as in 3.2

time_callback = TimeHistory()

mdl = model.fit(x_train, y_train, epochs=1000, callbacks=[callback, time_callback],
    batch_size=32)

plt.figure()  # in the thesis' notebook each cell has a figure of its own
plt.plot(mdl.history['loss'])
plt.title('loss')
plt.xlabel('epochs')
plt.ylabel('loss')
plt.show()

print(f"Number of Epochs: {len(mdl.history['loss'])}, Training loss: {round(mdl.history['loss'][-1], 3)}, Training accuracy: {round(mdl.history['accuracy'][-1]*100, 2)}%")

val_loss, val_acc = model.evaluate(x_test, y_test)
print(f"Evaluation loss: {round(val_loss, 3)}, Evaluation accuracy: {round(val_acc*100, 2)}%")
