"""Maps from tf-keras-vis, for the methods it has; a second opinion, not the engine of the audit.

That library clones a model when it modifies it, so its objects do not see later changes of
weights: an adapter is built anew at every call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import keras
import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.saliency.explainer import Explainer

SUPPORTED = ("gradient", "smoothgrad", "gradcam", "gradcam_plus_plus", "layercam", "scorecam")


def explain_with_tf_keras_vis(explainer: Explainer, method: str | Callable) -> np.ndarray:
    """Raw maps of `method`: (n, h, w, c), or (n, h, w, 1) for class activation maps.

    Raises:
        ValueError: a method that library lacks, or a network it cannot read (it must be
            Functional or Sequential, not nested, take pixels as they are, and give logits).
    """
    name = check_choice("method", method, SUPPORTED)
    model = _functional(explainer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns at each call of its own input structure
        if name in ("gradient", "smoothgrad"):
            return _saliency(explainer, model, name)
        return _activation_map(explainer, model, name)


def _functional(explainer: Explainer) -> keras.Model:
    classifier = explainer.classifier
    model = classifier.model
    nested = any(isinstance(layer, keras.Model) for layer in model.layers)
    is_graph = isinstance(model, keras.Sequential) or hasattr(model, "inputs")
    if nested or not is_graph or classifier.preprocessing.name != "unit":
        raise ValueError(
            "tf-keras-vis reads only flat Functional or Sequential models that take pixels in "
            "[0, 1]. Use backend='kernel_lib'."
        )
    if classifier.network.head_kind != "linear":
        raise ValueError(
            "tf-keras-vis would explain probabilities: the model must end in logits. "
            "Use backend='kernel_lib', which finds them."
        )
    return keras.Model(model.inputs, model.outputs)


def _score(explainer: Explainer) -> object:
    from tf_keras_vis.utils.scores import CategoricalScore

    return CategoricalScore([int(target) for target in explainer.targets])


def _saliency(explainer: Explainer, model: keras.Model, method: str) -> np.ndarray:
    from tf_keras_vis.saliency import Saliency

    options = explainer.options
    noise = method == "smoothgrad"
    state = np.random.get_state()  # noqa: NPY002, the library draws from this stream
    try:
        np.random.seed(options.seed)  # noqa: NPY002
        return Saliency(model, clone=False)(
            _score(explainer),
            explainer.images,
            smooth_samples=options.smoothgrad_samples if noise else 0,
            smooth_noise=options.smoothgrad_spread,
            keepdims=True,
            gradient_modifier=None,
            normalize_map=False,
        )
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _activation_map(explainer: Explainer, model: keras.Model, method: str) -> np.ndarray:
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.scorecam import Scorecam

    kinds = {
        "gradcam": Gradcam,
        "gradcam_plus_plus": GradcamPlusPlus,
        "layercam": Layercam,
        "scorecam": Scorecam,
    }
    maps = kinds[method](model, clone=False)(
        _score(explainer),
        explainer.images,
        penultimate_layer=explainer.tap,
        seek_penultimate_conv_layer=False,
        expand_cam=False,
        normalize_cam=False,
    )
    return explainer.upsampled(np.asarray(maps))
