from __future__ import annotations

import numpy as np
import tensorflow as tf

from ssrvae_tf.models.style_sampler import StyleSampler


def built(components=4):
    sampler = StyleSampler(2, components)
    sampler.build()
    return sampler


def test_before_a_fit_it_is_the_prior():
    codes = built()(20_000, seed=[1, 2]).numpy()
    np.testing.assert_allclose(codes.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(2), atol=0.05)


def test_after_a_fit_codes_lie_at_those_of_real_faces():
    means = tf.constant([[5.0, 5.0], [-5.0, -5.0]])
    sampler = built()
    sampler.fit(means, tf.fill((2, 2), 0.1))
    codes = sampler(2_000, seed=[1, 2]).numpy()
    assert np.all(np.abs(np.abs(codes) - 5) < 1) and np.all(codes[:, 0] * codes[:, 1] > 0)
    assert 0.4 < np.mean(codes[:, 0] > 0) < 0.6
    np.testing.assert_array_equal(codes, sampler(2_000, seed=[1, 2]))


def test_of_many_posteriors_each_component_takes_another():
    sampler = built(8)
    sampler.fit(tf.reshape(tf.range(200.0), (100, 2)), tf.ones((100, 2)))
    assert len(np.unique(sampler.means.numpy(), axis=0)) == 8
