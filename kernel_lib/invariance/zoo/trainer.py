"""Train networks of a zoo, several at once, each by its own recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib._progress import progress as progress_bar
from kernel_lib.data import ImageSet
from kernel_lib.invariance.zoo.draws import Epoch, draw_epoch, training_indices
from kernel_lib.invariance.zoo.recipes import ModelRecipe
from kernel_lib.invariance.zoo.stacked import SingleNetwork, StackedNetworks, can_stack
from kernel_lib.models.classifier import Classifier
from kernel_lib.models.networks.registry import build
from kernel_lib.network.weights import value_of

_ADVERSARIAL_STEP = 1 / 64


def train_together(
    recipes: Sequence[ModelRecipe], images: ImageSet, *, progress: bool = False
) -> list[list[np.ndarray]]:
    """Train networks of one shape and batch size.

    Plain chains of layers are trained as one stack; others one after another. The training split
    is learnt; a leak brings in test images.

    Args:
        recipes: of one network name, batch size and adversarial setting.
        images: an `ImageSet`.
        progress: show a progress bar.

    Returns:
        For each network the values of `model.variables` of `template(...)`.

    Raises:
        ValueError: recipes that do not go together, or a loss that is no longer a number.
    """
    shared = {(r.network, r.batch_size, r.adversarial) for r in recipes}
    if len(shared) != 1:
        raise ValueError(
            "Networks are trained together only if they share network, batch size and adversarial "
            f"training. Received: {sorted(shared)}."
        )
    classifier = template(recipes[0].network, images.image_shape, images.num_classes)
    if can_stack(classifier.model):
        return _fit(StackedNetworks, classifier, recipes, images, progress)
    found = []
    for recipe in recipes:
        assign(classifier, initial_weights(classifier, recipe.seed))
        _fit(SingleNetwork, classifier, [recipe], images, progress)
        found.append([value_of(variable) for variable in classifier.model.variables])
    return found


@lru_cache(maxsize=4)
def template(network: str, image_shape: tuple[int, int, int], num_classes: int) -> Classifier:
    """The network that a zoo's weights belong to; built once a process."""
    return build(network, image_shape, num_classes)


def initial_weights(classifier: Classifier, seed: int) -> list[np.ndarray]:
    """Values of `model.variables` drawn by each layer's own initialiser from `seed`."""
    found = {}
    for position, layer in enumerate(classifier.model.layers):
        for variable in layer.variables:
            kind = variable.path.rpartition("/")[-1]
            initializer = getattr(layer, f"{kind}_initializer", None)
            if initializer is not None:
                found[variable.path] = _drawn(initializer, variable, [seed, position])
    return [found.get(v.path, value_of(v)) for v in classifier.model.variables]


def _drawn(
    initializer: keras.initializers.Initializer, variable: keras.Variable, words: list[int]
) -> np.ndarray:
    settings = initializer.get_config()
    if "seed" in settings:
        settings["seed"] = int(np.random.default_rng(words).integers(2**31))
    return np.array(initializer.__class__.from_config(settings)(variable.shape))


def assign(classifier: Classifier, values: Sequence[np.ndarray]) -> None:
    """Put values into a network, in the order of `model.variables`."""
    for variable, value in zip(classifier.model.variables, values, strict=True):
        variable.assign(value)


def _fit(
    kind: Any,
    classifier: Classifier,
    recipes: Sequence[ModelRecipe],
    images: ImageSet,
    progress: bool,
) -> list[list[np.ndarray]]:
    model = classifier.model
    is_trained = [any(v is t for t in model.trainable_variables) for v in model.variables]
    starts = [initial_weights(classifier, recipe.seed) for recipe in recipes]
    trained = [[v for v, t in zip(s, is_trained, strict=True) if t] for s in starts]
    networks = kind(classifier, trained)
    pixels, labels, num_own = _pool(images)
    pools = [training_indices(recipe, labels, num_own, len(labels) - num_own) for recipe in recipes]
    step = _compiled_epoch(networks, pixels, recipes)
    rates = np.array([recipe.learning_rate for recipe in recipes], np.float32)
    num_epochs = max(recipe.epochs for recipe in recipes)
    for epoch in progress_bar(range(num_epochs), "Training a stack", enabled=progress):
        drawn = [
            draw_epoch(r, epoch, pool, labels, pixels.shape[1:3], images.num_classes)
            if epoch < r.epochs
            else None
            for r, pool in zip(recipes, pools, strict=True)
        ]
        losses = step(*_joined(drawn), rates, [recipes[0].seed, epoch])
        _check_losses(losses.numpy(), recipes, epoch)
    return [
        _completed(start, values, is_trained)
        for start, values in zip(starts, networks.values(), strict=True)
    ]


def _completed(
    start: Sequence[np.ndarray], trained: Sequence[np.ndarray], is_trained: Sequence[bool]
) -> list[np.ndarray]:
    """All variables in order: trained ones as they are now, the others as they began."""
    values = iter(trained)
    return [next(values) if t else before for before, t in zip(start, is_trained, strict=True)]


def _pool(images: ImageSet) -> tuple[np.ndarray, np.ndarray, int]:
    """Training images first, then test images, which only a leak uses."""
    train, test = images.train, images.test
    pixels = np.concatenate([train.images, test.images])
    return pixels, np.concatenate([train.labels, test.labels]).astype(np.int32), len(train)


def _joined(drawn: Sequence[Epoch | None]) -> list[np.ndarray]:
    """Epochs of K networks as (S, K, B, ...); steps that a network lacks have weight 0."""
    known = [epoch for epoch in drawn if epoch is not None]
    num_steps = max(len(epoch.order) for epoch in known)
    names = ("order", "labels", "weights", "moves", "factors", "is_noise")
    joined = []
    for name in names:
        sample = getattr(known[0], name)
        whole = np.zeros((num_steps, len(drawn), *sample.shape[1:]), sample.dtype)
        for k, epoch in enumerate(drawn):
            if epoch is not None:
                values = getattr(epoch, name)
                whole[: len(values), k] = values
        joined.append(whole)
    return joined


def _check_losses(losses: np.ndarray, recipes: Sequence[ModelRecipe], epoch: int) -> None:
    lost = [recipe.name for recipe, loss in zip(recipes, losses, strict=True) if loss != loss]
    if lost:
        raise ValueError(
            f"Training of {', '.join(lost)} failed in epoch {epoch + 1}: the loss is not a number. "
            "Use a smaller learning rate."
        )


def _compiled_epoch(
    networks: Any, pixels: np.ndarray, recipes: Sequence[ModelRecipe]
) -> Callable[..., tf.Tensor]:
    """Compile the steps of one epoch; returns the mean loss (K,) of each network."""
    moves_pixels = any(recipe.augment in ("rotation", "scaling") for recipe in recipes)
    has_noise = any(recipe.defect == "image_noise" for recipe in recipes)
    adam = _StackedAdam(networks)
    everything = tf.constant(pixels)
    shape = (networks.count, recipes[0].batch_size, *pixels.shape[1:])
    body = _step_of(networks, adam, recipes[0].adversarial)

    def batch_of(order: Any, moves: Any, factors: Any, is_noise: Any, seed: Any) -> tf.Tensor:
        batch = tf.gather(everything, tf.reshape(order, (-1,)))
        if moves_pixels:
            batch = tf.raw_ops.ImageProjectiveTransformV3(
                images=batch,
                transforms=tf.reshape(moves, (-1, 8)),
                output_shape=pixels.shape[1:3],
                fill_value=0.0,
                interpolation="BILINEAR",
            )
        batch = tf.reshape(batch, shape)
        batch = tf.clip_by_value(batch * factors[..., None, None, None], 0.0, 1.0)
        if has_noise:
            noise = tf.random.stateless_uniform(shape, seed)
            batch = tf.where(is_noise[..., None, None, None] > 0, noise, batch)
        return batch

    @tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
    def epoch(
        order: Any, labels: Any, weights: Any, moves: Any, factors: Any, is_noise: Any,
        rates: Any, words: Any,
    ) -> tf.Tensor:  # fmt: skip
        num_steps = tf.shape(order)[0]

        def one(s: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            seed = tf.stack([words[0] * 1000 + words[1], s * 100])
            batch = batch_of(order[s], moves[s], factors[s], is_noise[s], seed + 99)
            return s + 1, total + body(batch, labels[s], weights[s], rates, seed)

        start = (tf.constant(0), tf.zeros((networks.count,)))
        _, total = tf.while_loop(lambda s, total: s < num_steps, one, start, parallel_iterations=1)
        return total / tf.cast(num_steps, tf.float32)

    def run(*arrays: Any) -> tf.Tensor:
        return epoch(*(tf.convert_to_tensor(array) for array in arrays))

    return run


def _step_of(networks: Any, adam: _StackedAdam, adversarial: bool) -> Callable[..., tf.Tensor]:
    def losses_of(images: Any, labels: Any, weights: Any, seed: Any) -> tf.Tensor:
        logits = networks.logits(images, seed)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)  # (K, B)
        number = tf.maximum(tf.reduce_sum(weights, 1), 1.0)
        return tf.reduce_sum(losses * weights, 1) / number

    def step(images: Any, labels: Any, weights: Any, rates: Any, seed: Any) -> tf.Tensor:
        with tf.GradientTape(persistent=adversarial) as tape:
            if adversarial:
                tape.watch(images)
            losses = losses_of(images, labels, weights, seed)
            total = tf.reduce_sum(losses)
        gradients = tape.gradient(total, networks.weights)
        if adversarial:
            direction = tf.sign(tape.gradient(total, images))
            attacked = tf.clip_by_value(images + _ADVERSARIAL_STEP * direction, 0.0, 1.0)
            with tf.GradientTape() as second:
                again = tf.reduce_sum(losses_of(attacked, labels, weights, seed + 50))
            more = second.gradient(again, networks.weights)
            gradients = [a + b for a, b in zip(gradients, more, strict=True)]
        adam.apply(gradients, rates, tf.reduce_max(weights, axis=1))
        return losses

    return step


class _StackedAdam:
    """Adam (Kingma & Ba 2014) with a learning rate and a count of steps for each network."""

    def __init__(self, networks: Any):
        self._networks = networks
        self._steps = tf.Variable(tf.zeros((networks.count,)))
        self._means = [tf.Variable(tf.zeros_like(weight)) for weight in networks.weights]
        self._squares = [tf.Variable(tf.zeros_like(weight)) for weight in networks.weights]

    def apply(self, gradients: Sequence[Any], rates: Any, is_active: Any) -> None:
        """Take one step with each network whose `is_active` is 1; leave the others alone."""
        self._steps.assign_add(is_active)
        steps = tf.maximum(self._steps, 1.0)
        size = is_active * rates * tf.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
        state = zip(self._networks.weights, self._means, self._squares, gradients, strict=True)
        for weight, mean, square, gradient in state:
            active = self._networks.per_model(is_active, weight)
            mean.assign_add(active * 0.1 * (gradient - mean))
            square.assign_add(active * 0.001 * (tf.square(gradient) - square))
            own_size = self._networks.per_model(size, weight)
            weight.assign_sub(own_size * mean / (tf.sqrt(square) + 1e-7))
