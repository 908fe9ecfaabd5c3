from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.layers import local_relation
from tests.layers import reference

# Windows of 3 where XLA takes part: its compilation of the 49 shifts of a window of 7 takes many seconds.
FORMS = {
    "inference": {"training": False},
    "bounded": {"training": False, "bounded": True},
    "blocks": {"training": False, "in_blocks": True},
    "training": {},
    "jit": {"jit_compile": True},
}
in_each_form = pytest.mark.parametrize("form", FORMS)
with_prior = pytest.mark.parametrize("prior", [False, True], ids=["no prior", "prior"])


def operands(rng, batch, height, width, maps, channels, size, prior, dtype="float64"):
    shapes = [(batch, height, width, maps)] * 2 + [(batch, height, width, channels)] + [(size, size, maps)] * prior
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def from_patches(query, key, value, size, prior=None):
    """The same by tf.image.extract_patches, to be differentiated by TensorFlow."""
    maps = query.shape[-1]

    def windows(x):
        patches = tf.image.extract_patches(x, [1, size, size, 1], [1] * 4, [1] * 4, "SAME")
        return tf.reshape(patches, [-1, size**2, x.shape[-1] // maps, maps])

    logits = -tf.square(tf.reshape(query, [-1, 1, 1, maps]) - windows(key))
    if prior is not None:
        logits += tf.reshape(prior, [size**2, 1, maps])
    logits = tf.where(windows(tf.ones_like(key)) > 0, logits, -np.inf)
    return tf.reshape(tf.reduce_sum(tf.nn.softmax(logits, 1) * windows(value), 1), value.shape)


def relate(inputs, size, form):
    """local_relation of [query, key, value] or [query, key, value, prior]."""
    return local_relation(*inputs[:3], size, *inputs[3:] or [None], **FORMS[form])


@with_prior
@pytest.mark.parametrize(
    "batch, height, width, maps, channels, size, forms",
    [
        (1, 1, 1, 1, 1, 7, ("inference", "bounded", "blocks", "training")),
        (1, 1, 1, 1, 1, 3, ("jit",)),
        (1, 2, 9, 1, 3, 5, ("inference", "bounded", "blocks", "training")),
        (2, 5, 4, 2, 6, 3, ("inference", "bounded", "blocks", "training", "jit")),
        (1, 8, 9, 3, 3, 7, ("inference", "bounded", "blocks", "training")),
        (3, 4, 3, 2, 4, 1, ("inference", "bounded", "blocks", "training")),
        (2, 17, 9, 2, 4, 7, ("blocks",)),
        (1, 12, 25, 1, 2, 11, ("blocks",)),
        (1, 3, 3, 2, 2, 9, ("inference", "bounded", "blocks", "training")),
    ],
)
def test_local_relation_is_equations_10_and_11(rng, batch, height, width, maps, channels, size, prior, forms):
    inputs = operands(rng, batch, height, width, maps, channels, size, prior)
    wanted = reference.local_relation(*inputs[:3], size, *inputs[3:])
    for form in forms:
        got = relate([x.astype("float32") for x in inputs], size, form)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@in_each_form
def test_channel_c_uses_weight_map_c_mod_g(rng, form):
    query, key, value = operands(rng, 1, 4, 5, 2, 6, 3, False, "float32")
    before = local_relation(query, key, value, 3, **FORMS[form]).numpy()
    query[..., 1] += 1.0
    changed = np.any(local_relation(query, key, value, 3, **FORMS[form]).numpy() != before, (0, 1, 2))
    assert changed.tolist() == [False, True] * 3


@in_each_form
@with_prior
def test_pixels_outside_the_image_have_no_weight(rng, prior, form):
    size = 3 if form == "jit" else 7
    inputs = operands(rng, 2, 3, 5, 2, 4, size, prior, "float32")
    inputs[2][:] = 3.0  # a mean of equal values is that value, unless something from outside joins in
    got = relate(inputs, size, form)
    np.testing.assert_allclose(got, 3.0, rtol=1e-5)


@in_each_form
@with_prior
def test_gradients_are_the_finite_differences(rng, prior, form):
    size = 3
    inputs = operands(rng, 2, 3, 4, 2, 4, size, prior)
    upstream = rng.normal(size=inputs[2].shape)
    tensors = [tf.constant(x, tf.float32) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        out = relate(tensors, size, form)
        total = tf.reduce_sum(out * tf.cast(upstream, tf.float32))
    gradients = tape.gradient(total, tensors)
    for got, array in zip(gradients, inputs):
        wanted = reference.numeric_gradient(
            lambda: np.sum(upstream * reference.local_relation(*inputs[:3], size, *inputs[3:])), array
        )
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "height, width, size, prior, form",
    [
        (11, 6, 7, False, "inference"),
        (11, 6, 7, True, "inference"),
        (11, 6, 7, False, "training"),
        (11, 6, 7, True, "training"),
        (16, 16, 7, False, "training"),
        (11, 6, 3, True, "jit"),
        pytest.param(16, 16, 7, False, "jit", marks=pytest.mark.slow),
    ],
)
def test_gradients_are_those_of_extract_patches(rng, height, width, size, prior, form):
    inputs = [tf.constant(x) for x in operands(rng, 3, height, width, 4, 12, size, prior, "float32")]
    upstream = rng.normal(size=inputs[2].shape).astype("float32")
    results = []
    for patches in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            three, extra = inputs[:3], inputs[3:]
            out = from_patches(*three, size, *extra) if patches else relate(inputs, size, form)
            total = tf.reduce_sum(out * upstream)
        results.append([out, *tape.gradient(total, inputs)])
    for got, wanted in zip(*results):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@in_each_form
@with_prior
@pytest.mark.parametrize("distance", [20.0, 300.0, 1e4, 1e8])
def test_keys_that_are_all_far_share_the_weight(rng, distance, prior, form):
    # exp(-distance^2) is 0, and squares this large differ by less than their rounding.
    query, key, value = operands(rng, 1, 5, 6, 1, 2, 3, False, "float32")
    query[:], key[:] = 0.0, distance
    tensors = [tf.constant(x) for x in (query, key, value)] + [tf.zeros((3, 3, 1))] * prior
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        out = relate(tensors, 3, form)
        total = tf.reduce_sum(out**2)
    wanted = reference.local_relation(np.zeros(query.shape), np.zeros(key.shape), value.astype("float64"), 3)
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-5)
    for gradient in tape.gradient(total, tensors):
        assert np.all(np.isfinite(gradient))


@in_each_form
def test_far_keys_that_differ_take_part_by_their_distance(rng, form):
    query, key, value = operands(rng, 1, 4, 5, 2, 2, 3, False)
    query += 100.0
    wanted = reference.local_relation(query, key, value, 3)
    got = local_relation(*[x.astype("f") for x in (query, key, value)], 3, **FORMS[form])
    np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-3)


@in_each_form
def test_a_large_prior_does_not_overflow(rng, form):
    query, key, value, prior = operands(rng, 1, 5, 5, 2, 4, 3, True)
    prior *= 200.0
    inputs = [x.astype("float32") for x in (query, key, value)]
    got = local_relation(*inputs, 3, prior.astype("f"), **FORMS[form])
    np.testing.assert_allclose(got, reference.local_relation(query, key, value, 3, prior), rtol=1e-4, atol=1e-4)


@in_each_form
@pytest.mark.parametrize("dtype, tolerance", [(tf.float16, 4e-3), (tf.bfloat16, 3e-2)])
def test_half_precision_is_near_float32_and_keeps_its_dtype(rng, dtype, tolerance, form):
    inputs = [tf.cast(x, dtype) for x in operands(rng, 2, 5, 7, 2, 6, 3, False)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        out = local_relation(*inputs, 3, **FORMS[form])
    wanted = reference.local_relation(*[np.asarray(x, "float64") for x in inputs], 3)
    assert out.dtype == dtype
    np.testing.assert_allclose(np.asarray(out, "float64"), wanted, rtol=tolerance, atol=tolerance)
    assert [x.dtype for x in tape.gradient(out, inputs)] == [dtype] * 3


@in_each_form
def test_one_trace_serves_every_size(rng, form):
    any_size = [tf.TensorSpec([None, None, None, channels]) for channels in (2, 2, 4)]
    traced = tf.function(lambda q, k, v: local_relation(q, k, v, 3, **FORMS[form]), input_signature=any_size)
    for batch, height, width in ((1, 1, 6), (2, 7, 4)):
        inputs = operands(rng, batch, height, width, 2, 4, 3, False, "float32")
        np.testing.assert_allclose(traced(*inputs), reference.local_relation(*inputs, 3), rtol=1e-4, atol=1e-5)


def test_refuses_channels_that_do_not_share_evenly():
    with pytest.raises(ValueError, match="value has 7 channels, query 2: .* multiple"):
        local_relation(tf.zeros((1, 3, 3, 2)), tf.zeros((1, 3, 3, 2)), tf.zeros((1, 3, 3, 7)))


@pytest.mark.parametrize("size", [0, 4, -3])
def test_refuses_an_even_window(size):
    with pytest.raises(ValueError, match=f"kernel_size is {size}: it must be odd"):
        local_relation(*[tf.zeros((1, 3, 3, 2))] * 3, size)


def test_the_bounded_form_adds_up_no_window():
    # In 16 bits a sum may get the scale of what it adds up, and wrap.
    @tf.function
    def alike_everywhere():
        query = tf.zeros([1, 9, 8, 1])
        return local_relation(query, query, tf.ones([1, 9, 8, 2]), training=False, bounded=True)

    graph = alike_everywhere.get_concrete_function().graph
    made = [each for step in graph.get_operations() for each in step.outputs if each.dtype == tf.float32]
    with tf.compat.v1.Session(graph=graph) as session:
        largest = max(np.abs(each).max() for each in session.run(made))
    assert largest <= 7, "the kernel's side, and not its square"
