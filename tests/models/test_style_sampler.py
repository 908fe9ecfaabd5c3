from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from ssrvae_tf.models.style_sampler import StyleSampler


def built(components=4):
    sampler = StyleSampler(2, components)
    sampler.build()
    return sampler


def draw(sampler, count):
    return sampler(tf.constant([1, 2]), count=count).numpy()


def test_the_numbers_drawn_are_always_the_same():
    sampler = built()
    wanted = [[1.0885806, 0.27636752], [-2.5657072, 0.06544342], [0.42795756, 1.6976869]]
    np.testing.assert_allclose(draw(sampler, 3), wanted, rtol=1e-6)
    rng = np.random.default_rng(0)
    sampler.set_weights([rng.normal(size=(4, 2)), rng.uniform(1, 2, (4, 2))])
    if tfp.__version__ == "0.23.0":  # whose numbers they are
        parts = tfp.distributions.MultivariateNormalDiag(*sampler.get_weights())
        mixture = tfp.distributions.MixtureSameFamily(tfp.distributions.Categorical(logits=tf.zeros([4])), parts)
        np.testing.assert_allclose(draw(sampler, 100), mixture.sample(100, seed=[1, 2]), rtol=1e-6)


def test_before_a_fit_it_is_the_prior():
    codes = draw(built(), 20_000)
    np.testing.assert_allclose(codes.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(2), atol=0.05)


def test_after_a_fit_codes_lie_at_those_of_real_faces():
    means = tf.constant([[5.0, 5.0], [-5.0, -5.0]])
    sampler = built()
    sampler.fit(means, tf.fill((2, 2), 0.1))
    codes = draw(sampler, 2_000)
    assert np.all(np.abs(np.abs(codes) - 5) < 1) and np.all(codes[:, 0] * codes[:, 1] > 0)
    assert 0.4 < np.mean(codes[:, 0] > 0) < 0.6
    np.testing.assert_array_equal(codes, draw(sampler, 2_000))


def test_of_many_posteriors_each_component_takes_another():
    sampler = built(8)
    sampler.fit(tf.reshape(tf.range(200.0), (100, 2)), tf.ones((100, 2)))
    assert len(np.unique(sampler.means.numpy(), axis=0)) == 8
