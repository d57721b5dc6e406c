"""The training loop of both networks: epochs, checkpoints, resuming, time.

A network is a compiled `keras.Model` that is trained with `train_on_batch`, so its loss may
be any `compute_loss` and the loop runs on every Keras backend. All random numbers come with the
batches; their generator depends on the seed and the epoch only.

    def batches(epoch: Epoch) -> Iterator[Batch]:
        for step in range(epoch.num_steps):
            rows = epoch.rng.choice(num_rows, batch_size)
            yield (inputs[rows], targets[rows])       # what train_on_batch takes: (x, y)

    def validate() -> dict[str, float]:               # must hold schedule.monitor
        return {"val_loss": float(...)}

    schedule = TrainOptions(epochs=5).resolve()
    model.compile(optimizer=make_optimizer(schedule), jit_compile=jit_compile())
    task = TrainTask(
        model, batches, validate, folder.training / "dancer",
        steps_per_epoch=num_rows // batch_size, items_per_step=batch_size,
    )
    result = train(task, schedule, resume=resume)
    save_weights(network, folder / "dancer.weights.h5")  # the best ones, by validation

On return the model holds the weights of the best epoch, or of the last one with `keep="last"`;
`network` above is the uncompiled model inside. A model adds values to the log, `loss` and other
metrics, with `keras.metrics.Mean` trackers, as Keras models do; the loop logs their mean over the
steps of an epoch. An optimiser with a `gradient_norm`, such as the one of `make_optimizer`, adds
the mean and the maximum of it.
"""

from dancenet.nets.training.loop.checkpoint import BEST, CHECKPOINT, save_weights
from dancenet.nets.training.loop.epochs import TrainTask, train
from dancenet.nets.training.loop.log import LOG, read_log
from dancenet.nets.training.loop.optimizer import jit_compile, make_optimizer
from dancenet.nets.training.loop.options import (
    Batch,
    Epoch,
    Schedule,
    TrainOptions,
    TrainResult,
    describe,
)
from dancenet.nets.training.loop.stepper import Stepper

__all__ = [
    "BEST",
    "CHECKPOINT",
    "LOG",
    "Batch",
    "Epoch",
    "Schedule",
    "Stepper",
    "TrainOptions",
    "TrainResult",
    "TrainTask",
    "describe",
    "jit_compile",
    "make_optimizer",
    "read_log",
    "save_weights",
    "train",
]
