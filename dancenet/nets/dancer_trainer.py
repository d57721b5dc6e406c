"""The loss of the dancer, its trainer, and the first weights of its head."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np
from keras import ops

from dancenet.nets.dancer import DancerNetwork, sigma_bias, split_params

_LOG_2PI = math.log(2.0 * math.pi)
# Of the linear start of the head:
_RIDGE = 1e-4  # squared RMS steps, per vector
_LEAST_SIGMA = 0.02  # RMS steps
_LSTM_SHARE = 0.3  # factor on the random weights of the LSTM's output; small at first


def mixture_nats(params: Any, targets: Any, num_mixtures: int) -> Any:
    """Returns the negative log-likelihood of each target, in nats per dimension.

    -log sum_k pi_k prod_d N(x_d; mu_kd, sigma_kd) / D, Bishop 1994, "Mixture density networks",
    equations 22, 23 and 29, with one sigma for each dimension. It is below zero where the density
    is above 1, that is, where sigma is small.

    Args:
        params: (…, 2 K D + K).
        targets: (…, D).
        num_mixtures: K.

    Returns:
        (…,), one value for each vector, so that a mask can leave some out.
    """
    dim = targets.shape[-1]
    pi_logits, mu, sigma = split_params(params, dim, num_mixtures)
    z = (ops.expand_dims(targets, -2) - mu) / sigma
    normal = -ops.sum(0.5 * ops.square(z) + ops.log(sigma), axis=-1) - 0.5 * dim * _LOG_2PI
    return -ops.logsumexp(_log_pi(pi_logits) + normal, axis=-1) / dim


def _log_pi(pi_logits: Any) -> Any:
    # Not `ops.log_softmax`: Keras warns about a softmax over one component.
    return ops.subtract(pi_logits, ops.logsumexp(pi_logits, axis=-1, keepdims=True))


def squared_errors(params: Any, targets: Any, step_scale: Any) -> Any:
    """Returns the mean square error of a regression over its dimensions, in squared RMS steps.

    Args:
        params: (…, 2 D + 1), of one Gaussian.
        targets: (…, D).
        step_scale: (D,) RMS step, or 1 for a network without one.

    Returns:
        (…,), one value for each vector.
    """
    mu = params[..., : targets.shape[-1]]
    return ops.mean(ops.square(ops.divide(ops.subtract(targets, mu), step_scale)), axis=-1)


# Maps a per-replica count to the count over the whole batch; see `shared_means`.
_in_whole_batch: ContextVar[Callable[[Any], Any]] = ContextVar(
    "in_whole_batch", default=lambda count: count
)


@contextmanager
def shared_means(in_whole_batch: Callable[[Any], Any]) -> Iterator[None]:
    """Makes `masked_mean` return the share of a replica in the mean over the whole batch.

    The shares of the replicas sum to the mean, and so do their gradients, however many values each
    of them masks. The means of the replicas would not.

    Args:
        in_whole_batch: maps the count of a replica to the sum of the counts of all replicas.
    """
    token = _in_whole_batch.set(in_whole_batch)
    try:
        yield
    finally:
        _in_whole_batch.reset(token)


def masked_mean(values: Any, mask: Any) -> Any:
    """Returns the mean of the values where the mask is 1, or 0 if it is 1 nowhere.

    Inside `shared_means` it is the share of a replica in the mean over the whole batch.
    """
    # Not with *: PyTorch cannot multiply by a NumPy array, which the mask may be.
    total = ops.sum(ops.multiply(values, mask))
    return total / ops.maximum(_in_whole_batch.get()(ops.sum(mask)), 1.0)


def mean_prediction(params: Any, dim: int, num_mixtures: int) -> Any:
    """Returns the means sum_k pi_k mu_k (…, D) of mixtures (…, 2 K D + K)."""
    pi_logits, mu, _ = split_params(params, dim, num_mixtures)
    return ops.sum(ops.expand_dims(ops.exp(_log_pi(pi_logits)), -1) * mu, axis=-2)


def path_jerk(path: Any, mask: Any, step_scale: Any) -> Any:
    """Returns the mean square second difference of a path, x(t+1) - 2 x(t) + x(t-1).

    It is zero on a straight line at a constant speed. Strictly it is an acceleration, and a jerk
    is the third difference; penalties on predicted motion are called jerk for either.

    Args:
        path: (B, T, D) in model units.
        mask: (B, T), 1 where a vector counts; a difference counts if its three vectors do.
        step_scale: (D,) RMS step, the unit.

    Returns:
        One number, the mean over dimensions and the differences that count; 0 if none counts.
    """
    change = ops.divide(path[:, 2:] - 2.0 * path[:, 1:-1] + path[:, :-2], step_scale)
    mask = ops.convert_to_tensor(mask)
    counts = mask[:, 2:] * mask[:, 1:-1] * mask[:, :-2]
    return masked_mean(ops.mean(ops.square(change), axis=-1), counts)


class DancerTrainer(keras.Model):
    """A dancer and its loss, as one model for `train_on_batch`.

    A batch is one dictionary: `inputs` (B, T, D), `targets` (B, T, D), the vectors that follow,
    `mask` (B, T), 1 where a prediction counts, `context` (B, T, C D) for a network with running
    means, and `style` (B, S) for a network with styles.

    Args:
        network: the dancer.
        jerk: weight of `path_jerk` of the mean predictions in the objective. In the log, `loss` is
            the loss of the head alone, so that trainings can be compared; `jerk` and `objective`,
            the sum that is minimised, are logged beside it.
        step_scale: (D,) the unit of the jerk; the network's own if None.

    Raises:
        ValueError: the weight is negative or not finite.
    """

    def __init__(
        self, network: DancerNetwork, jerk: float = 0.0, step_scale: np.ndarray | None = None
    ) -> None:
        super().__init__(name="dancer_trainer")
        if not 0 <= jerk < math.inf:
            raise ValueError(f"jerk must be 0 or more and finite; received {jerk}.")
        self.dancer = network.model
        self.num_mixtures = network.config.num_mixtures
        self.has_styles = bool(network.config.styles)
        self._network = network
        self.jerk = jerk
        self._step_scale = network.step_scale if step_scale is None else step_scale
        names = ("of_head", "jerk") if jerk else ()
        self._means = [keras.metrics.Mean(name=name) for name in names]
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Returns the mixtures' parameters (B, T, P)."""
        return self.dancer(self._shown(inputs), training=training)

    def _shown(self, batch: dict[str, Any]) -> Any:
        """Returns the inputs of `DancerNetwork.model` in a batch."""
        shown = [batch["inputs"]]
        if self._network.config.context:
            shown.append(batch["context"])
        if self.has_styles:
            shown.append(_require_style(batch.get("style")))
        return shown if len(shown) > 1 else shown[0]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the objective.

        It is the masked mean over time of the loss of the head (the negative log-likelihood in
        nats per dimension, or the mean square error in squared RMS steps), plus the weighted jerk
        of the path of the mean predictions.
        """
        targets = x["targets"]
        loss = masked_mean(self._loss(y_pred, targets), x["mask"])
        if not self.jerk:
            return loss
        path = mean_prediction(y_pred, targets.shape[-1], self.num_mixtures)
        jerk = path_jerk(path, x["mask"], self._step_scale)
        for mean, value in zip(self._means, (loss, jerk)):
            mean.update_state(value)
        return loss + self.jerk * jerk

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Returns the metrics of a step; `loss` is the loss of the head alone."""
        metrics = super().compute_metrics(x, y, y_pred, sample_weight)
        if self.jerk:
            metrics["objective"] = metrics["loss"]
            metrics["loss"] = metrics.pop("of_head")
        return metrics

    def _loss(self, params: Any, targets: Any) -> Any:
        """Returns (B, T), the loss of each vector."""
        if self._network.config.head == "mse":
            return squared_errors(params, targets, self._network.rms_step)
        return mixture_nats(params, targets, self.num_mixtures)

    def losses(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the loss of each vector of a batch, (B, T), without training."""
        params = self.dancer.predict_on_batch(self._shown(batch))
        return ops.convert_to_numpy(self._loss(params, batch["targets"]))

    def nats(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the nats per dimension of each vector of a batch, (B, T), for either head."""
        params = self.dancer.predict_on_batch(self._shown(batch))
        return ops.convert_to_numpy(mixture_nats(params, batch["targets"], self.num_mixtures))

    def fit_residual_sigma(self, batches: Iterable[dict[str, np.ndarray]]) -> None:
        """Sets the sigma of a trained network with the head "mse" to the RMS of its errors.

        Args:
            batches: training data without noise.
        """
        squares, count = np.zeros(self._network.config.dim), 0
        for batch in batches:
            params = self.dancer.predict_on_batch(self._shown(batch))
            _, mu, _ = split_params(params, self._network.config.dim, 1)
            errors = (batch["targets"] - ops.convert_to_numpy(mu)[..., 0, :])[batch["mask"] > 0]
            squares += np.square(errors, dtype=np.float64).sum(axis=0)
            count += len(errors)
        self._network.set_residual_sigma(np.sqrt(squares / max(count, 1)))


def _require_style(style: Any) -> Any:
    if style is None:
        raise ValueError("a network with styles needs the `style` (B, S) of every window.")
    return style


def begin_linear(
    network: DancerNetwork,
    inputs: np.ndarray,
    targets: np.ndarray,
    mask: np.ndarray,
    *,
    style: np.ndarray | None = None,
    context: np.ndarray | None = None,
) -> None:
    """Initialises the head of a new network with a linear regression of the next step.

    All components start with its prediction as their mean and its RMS error as their sigma; they
    differ in their weights of the LSTM's output. Gradient descent finds this solution slowly,
    because consecutive steps are so similar. It is a ridge regression in closed form, in NumPy:
    its last bit decides all weights that follow, so it must not depend on a library's solver.

    Args:
        network: with `velocity_inputs` > 0 and `predict="delta"`.
        inputs: (B, T, D), with the noise of training.
        targets: (B, T, D).
        mask: (B, T).
        style: (B, S), if the network has styles.
        context: (B, T, C D), if it has running means.
    """
    config = network.config
    kept = mask > 0
    seen = ops.convert_to_numpy(network.show(inputs))[kept].astype(np.float64)
    if context is not None:
        seen = np.concatenate([seen, context[kept]], axis=1)
    steps = ((targets - inputs)[kept] / network.step_scale).astype(np.float64)
    beside = np.ones((len(seen), 1))
    if config.styles:
        style = np.broadcast_to(_require_style(style)[:, None], (*kept.shape, len(config.styles)))
        beside = np.concatenate([style[kept], beside], axis=1)
    seen = np.concatenate([seen, beside], axis=1)
    # The ridge keeps directions in which the windows hardly differ from taking any value.
    ridge = _RIDGE * len(seen) * np.eye(seen.shape[1])
    line = np.linalg.solve(seen.T @ seen + ridge, seen.T @ steps)  # (…, D), a row for each input
    errors = np.sqrt(np.mean((steps - seen @ line) ** 2, axis=0))
    bias = sigma_bias(errors - config.sigma_floor, _LEAST_SIGMA)
    head, size = network.mdn, seen.shape[1] - 1
    for layer, rows, constant in (
        (head.mdn_mus, line[:-1], line[-1]),
        (head.mdn_sigmas, 0.0, bias),
        (head.mdn_pi, 0.0, 0.0),
    ):
        kernel, _ = (np.array(ops.convert_to_numpy(value)) for value in layer.weights)
        repeats = 1 if layer is head.mdn_pi else config.num_mixtures
        kernel[-size:] = np.tile(rows, repeats) if np.ndim(rows) else rows
        kernel[:-size] *= _LSTM_SHARE
        layer.kernel.assign(kernel)
        layer.bias.assign(np.broadcast_to(np.tile(constant, repeats), kernel.shape[1:]))
