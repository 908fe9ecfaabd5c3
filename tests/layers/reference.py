"""The layers' equations in NumPy, slow and obvious, and what every layer's tests do with them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf


def conv(x, kernel, bias):
    """A convolution, padded with zeros to the same size. x (B, H, W, C), kernel (k, k, C, D), bias (D,)."""
    size, height, width = kernel.shape[0], x.shape[1], x.shape[2]
    out = np.zeros((*x.shape[:3], kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            for row in range(size):
                for column in range(size):
                    y, z = i + row - size // 2, j + column - size // 2
                    if 0 <= y < height and 0 <= z < width:
                        out[:, i, j] += x[:, y, z] @ kernel[row, column]
    return out + bias


def softmax(logits):
    exponentials = np.exp(logits - np.max(logits))
    return exponentials / exponentials.sum()


def adain(features, style, kernel, bias, epsilon):
    """Eq. 2, with a fresh layer's scale at 1."""
    out = np.empty(features.shape)
    channels = features.shape[3]
    for b in range(features.shape[0]):
        affine = style[b] @ kernel + bias
        for c in range(channels):
            plane = features[b, :, :, c]
            spread = np.sqrt(np.mean((plane - plane.mean()) ** 2) + epsilon)
            out[b, :, :, c] = (1 + affine[c]) * (plane - plane.mean()) / spread + affine[channels + c]
    return out


def global_attention(x, f, g, h, v, gate):
    """Eqs. 7-9. f, g, h, v are (kernel, bias) of 1x1 convolutions."""
    keys, queries, values = conv(x, *f), conv(x, *g), conv(x, *h)
    mixed = np.zeros(values.shape)
    for b, i, j in np.ndindex(*x.shape[:3]):
        pixels = list(np.ndindex(*x.shape[1:3]))
        shares = softmax(np.array([keys[b][pixel] @ queries[b, i, j] for pixel in pixels]))
        mixed[b, i, j] = sum(share * values[b][pixel] for share, pixel in zip(shares, pixels))
    return gate * conv(mixed, *v) + x


def local_relation(query, key, value, size, prior=None):
    """Eqs. 10-11: a softmax over the window's pixels that lie inside the image."""
    height, width, maps = query.shape[1:]
    out = np.zeros(value.shape)
    for b, i, j, c in np.ndindex(*value.shape):
        logits, seen = [], []
        for row in range(size):
            for column in range(size):
                y, z = i + row - size // 2, j + column - size // 2
                if 0 <= y < height and 0 <= z < width:
                    extra = 0.0 if prior is None else prior[row, column, c % maps]
                    logits.append(-((query[b, i, j, c % maps] - key[b, y, z, c % maps]) ** 2) + extra)
                    seen.append(value[b, y, z, c])
        out[b, i, j, c] = softmax(np.array(logits)) @ np.array(seen)
    return out


def local_attention(x, query, key, value, out, gate, size, prior=None):
    """query, key, value, out are (kernel, bias) of 1x1 convolutions."""
    mixed = local_relation(conv(x, *query), conv(x, *key), conv(x, *value), size, prior)
    return gate * conv(mixed, *out) + x


def residual_block(x, first, second):
    return x + conv(np.maximum(conv(x, *first), 0.0), *second)


def depth_to_space(x, scale):
    """Channel (row * scale + column) * C + c of a pixel becomes channel c of its sub-pixel (row, column)."""
    batch, height, width, deep = x.shape
    channels = deep // scale**2
    out = np.empty((batch, scale * height, scale * width, channels))
    for row in range(scale):
        for column in range(scale):
            first = (row * scale + column) * channels
            out[:, row::scale, column::scale] = x[..., first : first + channels]
    return out


def numeric_gradient(function, array, step=1e-5):
    """d function / d array by central differences; function: () -> float, reads `array`, which is float64."""
    gradient = np.empty_like(array)
    for index in np.ndindex(*array.shape):
        before = array[index]
        array[index] = before + step
        above = function()
        array[index] = before - step
        gradient[index] = (above - function()) / (2 * step)
        array[index] = before
    return gradient


def assert_adjoint(function, x, y, tolerance=1e-5):
    """Of an affine map A x + b, the gradient is the adjoint: <A x, y> = <x, A^T y>, image by image."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        moved = function(x)
        total = tf.reduce_sum(moved * y)
    axes = tuple(range(1, len(x.shape)))
    forward = np.sum((moved - function(tf.zeros_like(x))) * y, axes)
    backward = np.sum(x * tape.gradient(total, x), axes)
    sizes = np.sqrt(np.sum(x**2, axes) * np.sum(y**2, axes))
    np.testing.assert_allclose(backward / sizes, forward / sizes, rtol=0, atol=tolerance)


def answers(layer, noisy, clean):
    """How a layer's outputs change with noise, (B, ...) float32."""
    return np.concatenate(
        [
            np.reshape(np.asarray(one, "float32") - np.asarray(two, "float32"), (len(noisy), -1))
            for one, two in zip(tf.nest.flatten(layer(noisy)), tf.nest.flatten(layer(clean)))
        ],
        -1,
    )


def faint_noise(rng, count=5, side=32):
    """Mid-gray photos and the same with noise of half a gray level: what uint8 hardly holds."""
    grays = np.linspace(0.4, 0.6, count, dtype="float32")[:, None, None, None] * np.ones((1, side, side, 3), "float32")
    return grays + rng.normal(0, 0.5 / 255, grays.shape).astype("float32"), grays


def assert_policy_reaches(layer, policy, float32=()):
    """Every layer within `layer`, except those named in `float32` and what is in them, computes as `policy` says."""
    wanted = keras.mixed_precision.Policy(policy).compute_dtype
    for inner in layer._flatten_layers(include_self=False):
        expected = "float32" if inner.name in float32 else wanted
        assert inner.compute_dtype == expected, inner.name


def randomise(layer, seed=0, scale=0.4):
    """Give every weight of a built layer a random value, the gates included. Returns name -> float64 array."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(0, scale, weight.shape) for weight in layer.get_weights()])
    return {weight.name: weight.numpy().astype("float64") for weight in layer.weights}


def weights_of(layer):
    """(kernel, bias) of a dense or convolutional layer in float64."""
    return tuple(weight.astype("float64") for weight in layer.get_weights())


def assert_serialises(layer, inputs, path):
    """A built layer survives get_config / from_config with set_weights, and a .keras file of a model that holds it."""
    wanted = layer(inputs)
    config = layer.get_config()
    twin = type(layer).from_config(config)
    assert twin.get_config() == config
    twin(inputs)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(inputs), wanted)

    several = isinstance(inputs, list)
    ports = [keras.Input((*[None] * (len(x.shape) - 2), x.shape[-1])) for x in (inputs if several else [inputs])]
    model = keras.Model(ports, layer(ports if several else ports[0]))
    model.save(path / "model.keras")
    loaded = with_default_policy(lambda: keras.models.load_model(path / "model.keras"))
    np.testing.assert_array_equal(loaded(inputs), wanted)


def with_default_policy(function):
    """Run `function` as in a fresh process, whose global policy is float32."""
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float32")
    try:
        return function()
    finally:
        keras.mixed_precision.set_global_policy(policy)


def assert_any_size(layer, channels, sizes=((1, 1), (5, 3), (8, 9)), batches=(1, 2)):
    """One trace of a tf.function serves every H and W and gives what the eager call gives."""
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, channels])])
    def traced(x):
        traces.append(x.shape)
        return layer(x)

    rng = np.random.default_rng(5)
    for batch in batches:
        for size in sizes:
            x = rng.normal(size=(batch, *size, channels)).astype("float32")
            np.testing.assert_allclose(traced(x), layer(x), rtol=1e-5, atol=1e-5)
    assert len(traces) == 1


def assert_mixed_precision(make, inputs, policy, tolerance, path):
    """Under a mixed policy, global or the layer's own: the policy's dtype out, float32 weights, near float32, and it
    loads again from a file."""
    plain = make()
    plain(inputs)
    randomise(plain)
    wanted = plain(inputs).numpy()

    keras.mixed_precision.set_global_policy(policy)
    try:
        under_global = make()
        under_global(inputs)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    own = make(dtype=policy)
    own(inputs)
    for layer in (under_global, own):
        layer.set_weights(plain.get_weights())
        assert all(weight.dtype == tf.float32 for weight in layer.weights)
        got = layer(inputs)
        assert got.dtype == keras.mixed_precision.Policy(policy).compute_dtype
        assert np.abs(np.asarray(got, "float32") - wanted).max() <= tolerance * np.abs(wanted).max()
    half = [tf.cast(x, got.dtype) for x in inputs] if isinstance(inputs, list) else tf.cast(inputs, got.dtype)
    assert_serialises(under_global, half, path)


def operators(function):
    """The names of all operators of a concrete function, those of loops in it too."""
    return {node.op for node in nodes(function.graph.as_graph_def())}


def nodes(graph):
    """All nodes of a GraphDef, those of its functions too."""
    return [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
