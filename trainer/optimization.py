"""The optimizers: one fused kernel a variable, for gradients that are summed over all devices already.

Keras' optimizers clip each device's own gradients and sum them afterwards, so that N devices would not
equal one. Here the loop sums, then clips by the global norm, then updates each device's copy of the
variables with the same numbers. Variables and slots belong to the strategy's scope they are made in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer.config import TrainerConfig
from trainer.deconvolution import Deconvolution2D

_MOMENTUM = 0.9
_BETA_1 = 0.9
_BETA_2 = 0.999
_EPSILON = 1e-7


class Optimizer(tf.Module):
    """Clips, decays and updates. Call ``apply`` in replica context, once a step.

    Args:
        variables: what is trained.
        decayed: for each variable, whether weight decay applies to it.
        weight_decay: share of a weight, times the learning rate, that each step takes off it (decoupled:
            Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019).
        clip_norm: longest global gradient norm, None for no limit.
    """

    slot_count = 0

    def __init__(
        self,
        variables: Sequence[Any],
        decayed: Sequence[bool],
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(name=type(self).__name__.lower())
        self._trained = list(variables)
        self._decayed = list(decayed)
        self._weight_decay = weight_decay
        self._clip_norm = clip_norm
        self.slots = [
            [tf.Variable(tf.zeros(variable.shape), trainable=False, name="slot") for variable in variables]
            for _ in range(self.slot_count)
        ]
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")

    def apply(self, gradients: Sequence[Any], learning_rate: Any) -> None:
        """Updates the variables.

        Args:
            gradients: one a variable, summed over all devices and the same on each.
            learning_rate: float32 scalar.
        """
        if self._clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        step = tf.cast(self.step.assign_add(1), tf.float32)
        for index, (variable, gradient) in enumerate(zip(self._trained, gradients, strict=True)):
            if self._decayed[index] and self._weight_decay:
                variable.assign_sub(variable * (learning_rate * self._weight_decay))
            self._update(index, variable, gradient, learning_rate, step)

    def _update(self, index: int, variable: Any, gradient: Any, learning_rate: Any, step: Any) -> None:
        raise NotImplementedError


class AdamW(Optimizer):
    """Adam (Kingma, Ba, ICLR 2015) with decoupled weight decay."""

    slot_count = 2

    def _update(self, index: int, variable: Any, gradient: Any, learning_rate: Any, step: Any) -> None:
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self.slots[0][index].handle,
            v=self.slots[1][index].handle,
            beta1_power=tf.pow(_BETA_1, step),
            beta2_power=tf.pow(_BETA_2, step),
            lr=learning_rate,
            beta1=_BETA_1,
            beta2=_BETA_2,
            epsilon=_EPSILON,
            grad=gradient,
        )


class MomentumSGD(Optimizer):
    """Gradient descent with momentum 0.9, as in the paper, but with decoupled weight decay."""

    slot_count = 1

    def _update(self, index: int, variable: Any, gradient: Any, learning_rate: Any, step: Any) -> None:
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.slots[0][index].handle,
            lr=learning_rate,
            grad=gradient,
            momentum=_MOMENTUM,
        )


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adamw": AdamW, "sgd": MomentumSGD}


def make_optimizer(model: keras.Model, config: TrainerConfig) -> Optimizer:
    """Makes the configured optimizer for the model's trainable weights, in the current strategy scope.

    Weight decay spares biases, normalisation, depthwise kernels and what upsamples: shrinking the latter
    would pull it away from interpolation.
    """
    kernels = {id(layer.kernel) for layer in model.layers if _is_decayed(layer)}
    return OPTIMIZERS[config.optimizer](
        [weight.value for weight in model.trainable_variables],
        [id(weight) in kernels for weight in model.trainable_variables],
        weight_decay=config.weight_decay,
        clip_norm=config.gradient_clip_norm,
    )


def _is_decayed(layer: Any) -> bool:
    is_deconvolution = isinstance(layer, Deconvolution2D) and not layer.starts_as_interpolation
    return isinstance(layer, keras.layers.Conv2D) or is_deconvolution


class LossScale(tf.Module):
    """Dynamic loss scaling for float16 (Micikevicius et al., "Mixed Precision Training", ICLR 2018).

    Args:
        initial: the first scale.
        growth_steps: so many finite steps in a row double the scale; a step that is not finite halves it.
    """

    def __init__(self, initial: float = 2.0**15, growth_steps: int = 2000) -> None:
        super().__init__(name="loss_scale")
        self._growth_steps = growth_steps
        self.scale = tf.Variable(initial, dtype=tf.float32, trainable=False, name="scale")
        self.finite_steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="finite_steps")

    def unscale(self, gradients: Sequence[Any]) -> list[Any]:
        """Divides the gradients by the scale."""
        return [gradient / self.scale for gradient in gradients]

    def update(self, finite: Any) -> None:
        """Moves the scale after a step whose gradients were finite, or were not.

        Args:
            finite: boolean scalar, the same on every device.
        """
        steps = tf.where(finite, self.finite_steps + 1, 0)
        grow = steps >= self._growth_steps
        scale = tf.where(finite, tf.where(grow, self.scale * 2.0, self.scale), self.scale / 2.0)
        self.scale.assign(tf.maximum(scale, 1.0))
        self.finite_steps.assign(tf.where(grow, tf.zeros_like(steps), steps))


def are_finite(gradients: Sequence[Any]) -> Any:
    """Returns a boolean scalar: whether every gradient is finite."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])


class WeightAverage(tf.Module):
    """An exponential moving average of weights, moments of batch normalisation included.

    Args:
        variables: the weights; those that are not floating are left out.
        momentum: how much of the average each step keeps. Early on it keeps less, so that the random
            first weights do not linger.
    """

    def __init__(self, variables: Sequence[Any], momentum: float) -> None:
        super().__init__(name="weight_average")
        self._momentum = momentum
        self._averaged = [variable for variable in variables if variable.dtype.is_floating]
        self.averages = [
            tf.Variable(tf.convert_to_tensor(variable), trainable=False, name="average")
            for variable in self._averaged
        ]

    def update(self, step: Any) -> None:
        """Moves the averages towards the weights; call in replica context after each step.

        Args:
            step: integer scalar, steps done.
        """
        steps = tf.cast(step, tf.float32)
        keep = tf.minimum(self._momentum, (1.0 + steps) / (10.0 + steps))
        for average, variable in zip(self.averages, self._averaged, strict=True):
            average.assign_sub((average - variable) * (1.0 - keep))

    def swap(self) -> None:
        """Exchanges averages and weights; call in cross-replica context. Twice restores both."""
        for average, variable in zip(self.averages, self._averaged, strict=True):
            averaged = tf.identity(average.read_value())
            average.assign(variable.read_value())
            variable.assign(averaged)
