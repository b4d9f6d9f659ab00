"""What a training changes (network, optimizer, averages), and the compiled function that changes it.

One loop serves one device and many: every replica sums its own part of the losses, what they are divided by
is summed over all replicas before the division, gradients are summed before they are clipped. A batch that
goes through the network in parts has the loss and the gradients that it has as a whole, but for what its
images have in common: batch normalisation and Dice over the batch then see each part alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from data.read_transformed import DatasetStatistics
from trainer.build_model import build_model
from trainer.config import TrainerConfig
from trainer.distribution import sum_over_replicas
from trainer.load_weights import FirstWeights, load_weights
from trainer.losses.class_weights import compute_class_weights
from trainer.losses.weighted_sum import LossTerm, make_loss_terms, sum_losses, weigh_batch
from trainer.optimization import LossScale, Optimizer, WeightAverage, are_finite, make_optimizer
from trainer.precision import PrecisionChoice
from trainer.schedule import learning_rate_at

TrainFunction = Callable[[Any, Any], Any]
StepFunction = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Learner:
    """Everything that a training changes.

    Attributes:
        strategy: the devices.
        model: images float32 [batch, height, width, 3] to logits float32 [batch, height, width, classes].
        optimizer: of the model's trainable weights.
        step: int64 scalar, steps done.
        time_share: float32 scalar, share of the time limit that has passed; 0 without a limit.
        average: of the weights, None if none is kept.
        loss_scale: None where the precision needs none.
        first_weights: what the network started from; None for random weights.
    """

    strategy: tf.distribute.Strategy
    model: keras.Model
    optimizer: Optimizer
    step: tf.Variable
    time_share: tf.Variable
    average: WeightAverage | None
    loss_scale: LossScale | None
    first_weights: FirstWeights | None = None

    def weights(self) -> list[Any]:
        """Returns the variables that make up the trained network."""
        return [weight.value for weight in self.model.weights]

    def trackables(self) -> dict[str, Any]:
        """Returns all that must be saved so that the training can go on as if it had never stopped."""
        parts = {"optimizer": self.optimizer, "average": self.average, "loss_scale": self.loss_scale}
        # With the states of random generators, which are no weights.
        variables = [variable.value for variable in self.model.variables]
        saved = {"variables": variables, "step": self.step}
        return {**saved, **{name: part for name, part in parts.items() if part is not None}}


def make_learner(
    config: TrainerConfig,
    num_classes: int,
    statistics: DatasetStatistics,
    strategy: tf.distribute.Strategy,
    precision: PrecisionChoice,
) -> Learner:
    """Makes a network and its optimizer on the devices.

    Weights are random (from ``config.seed``), unless ``config.model.weights`` names some.

    Raises:
        RefusedError: such weights cannot be had, or do not fit.
    """
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = build_model(
            config.model,
            num_classes,
            statistics.channel_mean.tolist(),
            statistics.channel_std.tolist(),
            precision.policy,
        )
        first_weights = load_weights(model, config.model)
        optimizer = make_optimizer(model, config)
        weights = [weight.value for weight in model.weights]
        average = WeightAverage(weights, config.ema_momentum) if config.ema_momentum else None
        loss_scale = LossScale() if precision.scales_loss else None
    with tf.device("CPU:0"):
        step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        time_share = tf.Variable(0.0, trainable=False, name="time_share")
    return Learner(strategy, model, optimizer, step, time_share, average, loss_scale, first_weights)


def make_train_function(
    learner: Learner,
    config: TrainerConfig,
    statistics: DatasetStatistics,
    ignore_id: int,
    total_steps: int,
) -> TrainFunction:
    """Makes the compiled function that trains for some steps.

    Args:
        learner: is changed by each step.
        config: learning rate, losses, class weighting, parts of a batch.
        statistics: of the train split, for the class weights.
        ignore_id: the id of void.
        total_steps: the learning rate is 0 after so many.

    Returns:
        A function of an iterator over batches of ``config.images_per_step`` (``image``, ``mask``) and of
        an int32 scalar, the number of steps, that returns their losses: float32 [steps]. A loss is that of
        the global batch, with all its parts.
    """
    class_weights = tf.constant(
        compute_class_weights(config.class_weighting, statistics.class_pixels, statistics.class_image_pixels)
    )
    terms = make_loss_terms(config, class_weights, ignore_id)
    if config.accumulate_steps == 1:
        take_step = _make_whole_step(learner, terms)
    else:
        take_step = _make_step_by_parts(learner, terms, config.accumulate_steps)

    @tf.function(reduce_retracing=True)
    def train_steps(iterator: Any, count: Any) -> Any:
        losses = tf.TensorArray(tf.float32, size=count)
        for index in tf.range(count):
            done = tf.cast(learner.step, tf.float32) / float(total_steps)
            rate = learning_rate_at(tf.maximum(done, learner.time_share), config)
            losses = losses.write(index, take_step(next(iterator), rate))
            learner.step.assign_add(1)
        return losses.stack()

    return train_steps


def _make_whole_step(learner: Learner, terms: Sequence[LossTerm]) -> StepFunction:
    """Makes the function of a batch and a learning rate that takes one step and returns the loss."""

    # Only loops need autograph; converting the network's layers would double the tracing.
    @tf.autograph.experimental.do_not_convert
    def step_on_replica(batch: Any, learning_rate: Any) -> Any:
        totals = weigh_batch(terms, batch["mask"])
        loss, gradients = _differentiate(learner, terms, batch["image"], batch["mask"], totals)
        _update(learner, sum_over_replicas(gradients), learning_rate)
        return loss

    def take_step(batch: Any, learning_rate: Any) -> Any:
        losses = learner.strategy.run(step_on_replica, args=(batch, learning_rate))
        return learner.strategy.reduce("SUM", losses, axis=None)

    return take_step


def _make_step_by_parts(learner: Learner, terms: Sequence[LossTerm], parts: int) -> StepFunction:
    """Makes the same of a batch that goes through the network in parts, each on all devices.

    Part j has images j, j + parts, ... of the batch: the same ones on any number of devices.
    """
    strategy = learner.strategy
    with strategy.scope():
        # Each device's own, and 0 between steps: nothing that must be saved.
        sums = [
            tf.Variable(
                tf.zeros(weight.shape),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
                name="gradient_sum",
            )
            for weight in learner.model.trainable_variables
        ]

    @tf.autograph.experimental.do_not_convert
    def weigh_on_replica(batch: Any) -> Any:
        return weigh_batch(terms, batch["mask"])

    @tf.autograph.experimental.do_not_convert
    def add_on_replica(batch: Any, totals: Any, part: Any) -> Any:
        image, mask = (
            tf.reshape(batch[key], [-1, parts, *batch[key].shape[1:]])[:, part] for key in ("image", "mask")
        )
        loss, gradients = _differentiate(learner, terms, image, mask, totals)
        for total, gradient in zip(sums, gradients, strict=True):
            total.assign_add(gradient)
        return loss

    @tf.autograph.experimental.do_not_convert
    def update_on_replica(learning_rate: Any) -> None:
        _update(learner, sum_over_replicas([total.read_value() for total in sums]), learning_rate)
        for total in sums:
            total.assign(tf.zeros_like(total))

    def take_step(batch: Any, learning_rate: Any) -> Any:
        totals = strategy.run(weigh_on_replica, args=(batch,))
        loss = tf.constant(0.0)
        for part in tf.range(parts):
            losses = strategy.run(add_on_replica, args=(batch, totals, part))
            loss += strategy.reduce("SUM", losses, axis=None)
        strategy.run(update_on_replica, args=(learning_rate,))
        return loss

    return take_step


def _differentiate(
    learner: Learner, terms: Sequence[LossTerm], images: Any, masks: Any, totals: Any
) -> tuple[Any, list[Any]]:
    """Returns this replica's part of the loss and of its gradients, which are scaled with float16."""
    trained = [weight.value for weight in learner.model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = sum_losses(terms, learner.model(images, training=True), masks, totals)
        scaled = loss * learner.loss_scale.scale if learner.loss_scale else loss
    zero = tf.UnconnectedGradients.ZERO
    return loss, tape.gradient(scaled, trained, unconnected_gradients=zero)


def _update(learner: Learner, gradients: Any, learning_rate: Any) -> None:
    """Changes the weights of this replica, and their averages."""
    _apply_gradients(learner, gradients, learning_rate)
    if learner.average:
        learner.average.update(learner.optimizer.step)


def distribute(strategy: tf.distribute.Strategy, dataset: Any) -> Any:
    """Shares a data set's batches out among the devices, and brings them there ahead of time.

    One CPU device needs neither. Of several workers, each has made its own part of the batches already.
    """
    devices = strategy.extended.worker_devices
    is_one_cpu = len(devices) == 1 and tf.DeviceSpec.from_string(devices[0]).device_type == "CPU"
    if is_one_cpu:
        return dataset
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        size = dataset.element_spec["image"].shape[0] // len(devices)
        return strategy.distribute_datasets_from_function(lambda _: dataset.rebatch(size))
    return strategy.experimental_distribute_dataset(dataset)


def _apply_gradients(learner: Learner, gradients: Any, learning_rate: Any) -> None:
    """Updates the weights of this replica; with float16 only where all gradients are finite."""
    loss_scale = learner.loss_scale
    if loss_scale is None:
        learner.optimizer.apply(gradients, learning_rate)
        return
    gradients = loss_scale.unscale(gradients)
    finite = are_finite(gradients)

    def apply() -> Any:
        learner.optimizer.apply(gradients, learning_rate)
        return tf.constant(True)

    tf.cond(finite, apply, lambda: tf.constant(False))
    loss_scale.update(finite)
