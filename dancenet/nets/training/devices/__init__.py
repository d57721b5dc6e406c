"""Training on several devices, or by several processes, with TensorFlow's `tf.distribute`.

    devices = open_devices("mirrored")                 # before anything else uses TensorFlow
    with devices.place(folder) as place:               # not `folder` where others write
        stepper = devices.stepper(trainer, batch_size)
        train(task, schedule, stepper=stepper)

Every process draws the same whole batches and takes its rows of them, so no data are sent. In a
step each device computes the gradient of its rows' share of the loss (see
`dancer_trainer.shared_means`); the shares and their gradients are summed over all devices, and
every process takes the same step of the optimiser, which clips the gradient of the whole batch. The
loss equals the loss of one device with the whole batch, up to the order of the sums.

The network is an ordinary one, built outside the strategy's scope. For a model built inside, Keras
3 (tried with 3.15) gives every replica the whole batch in `train_on_batch`, and repeats the rows in
`predict_on_batch`; its optimiser clips before it sums; and with `MultiWorkerMirroredStrategy`
neither `fit` nor `train_on_batch` works (https://github.com/keras-team/keras/issues/20585). So
each process holds the weights once, and a device gets a copy of them in every step; validation,
checkpoints and exports run on one device.

Only the chief writes files and prints: the task `chief`, or else the first `worker` of `TF_CONFIG`.
It decides all that depends on time or on files (the plan, the state of a resumed training, when to
stop), and shares it.
"""

from dancenet.nets.training.devices.cluster import Cluster, read_cluster
from dancenet.nets.training.devices.devices import Devices, open_devices

__all__ = ["Cluster", "Devices", "open_devices", "read_cluster"]
