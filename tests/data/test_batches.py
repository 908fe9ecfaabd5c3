import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssrvae_tf.data import PhotoSet, bicubic, sr_batches, style_batches
from ssrvae_tf.data.degradations import unsharp_mask
from ssrvae_tf.errors import UserError


def textured(count=5, size=32, extra=0, seed=0):
    rng = np.random.default_rng(seed)
    return PhotoSet([rng.integers(0, 256, (size, size + extra, 3), np.uint8) for _ in range(count)], size)


def plain(levels, size=32):
    return PhotoSet([np.full((size, size, 3), level, np.uint8) for level in levels], size)


def arrays(dataset, count):
    return [tf.nest.map_structure(lambda x: x.numpy(), batch) for batch in itertools.islice(dataset, count)]


def assert_same(ones, others):
    assert len(ones) == len(others)
    for one, other in zip(ones, others):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def style(seed=3, **options):
    return style_batches(textured(), textured(7, 8, seed=1), 32, 4, 4, seed, **options)


def noisy_styles(hr, styles, seed):
    """A degradation that uses everything it is given."""
    noise = tf.random.stateless_uniform((4, 8, 8, 3), seed)
    return 0.5 * bicubic(hr, 4) + 0.25 * styles + 0.25 * noise


def sr(seed=3, degrade=noisy_styles, **options):
    return sr_batches(textured(extra=9), 32, 4, 4, seed, degrade, textured(7, 8, seed=1), **options)


def test_style_batches_hold_what_they_promise():
    data = style()
    spec = {name: (tuple(value.shape), value.dtype.name) for name, value in data.element_spec.items()}
    small = ((4, 8, 8, 3), "float32")
    hr = ((4, 32, 32, 3), "float32")
    assert spec == {"hr": hr, "lr": small, "style": small, "target": small, "index": ((4,), "int64")}
    batch = arrays(data, 1)[0]
    for name in ("hr", "lr", "style", "target"):
        assert 0 <= batch[name].min() and batch[name].max() <= 1 and batch[name].std() > 0.01
    assert set(style(synthetic=False).element_spec) == {"hr", "lr", "index"}


@pytest.mark.parametrize(
    "make",
    [
        style,
        lambda **o: sr(classical_share=0.5, **o),
        lambda **o: sr(degrade="classical", bicubic_share=0.5, **o),
        lambda **o: sr(wide_share=0.3, zoom=2.0, everyday=textured(3, 50), everyday_share=0.5, **o),
    ],
)
def test_batches_depend_on_seed_and_step_alone(make):
    whole = arrays(make(), 6)
    assert_same(whole, arrays(make(), 6))
    assert_same(whole[4:], arrays(make(start_step=4), 2))
    first, other = (tf.nest.flatten(arrays(make(seed=seed), 1)[0]) for seed in (3, 4))
    assert any((a != b).any() for a, b in zip(first, other) if a.ndim == 4)


def test_any_integer_is_a_seed():
    for seed in (-1, 2**40, 2**70):
        arrays(style(seed=seed), 1)


def test_index_counts_samples_from_step_0():
    batches = arrays(style(start_step=5, synthetic=False), 2)
    np.testing.assert_array_equal(np.concatenate([batch["index"] for batch in batches]), np.arange(20, 28))


def test_an_epoch_shows_every_photo_once_in_a_new_order():
    levels = range(0, 120, 10)
    data = style_batches(plain(levels), plain(levels, 8), 32, 4, 4, 0, synthetic=False)
    batches = arrays(data, 9)
    orders = {}
    for name in ("hr", "lr"):
        seen = np.concatenate([np.round(255 * batch[name][:, 0, 0, 0]) for batch in batches]).reshape(3, 12)
        assert all(sorted(epoch) == list(levels) for epoch in seen)
        assert (seen[0] != seen[1]).any() and (seen[1] != seen[2]).any()
        orders[name] = seen
    assert (orders["hr"] != orders["lr"]).any()


def test_style_is_another_face_and_target_is_the_same_face():
    levels = np.array([60, 130, 200])
    batches = arrays(style_batches(plain(levels), plain([90], 8), 32, 4, 4, 0), 12)
    face = lambda images: np.abs(images.mean((1, 2, 3))[:, None] * 255 - levels).argmin(1)  # noqa: E731
    for batch in batches:
        np.testing.assert_array_equal(face(batch["target"]), face(batch["hr"]))
        assert (face(batch["style"]) != face(batch["hr"])).all()


def test_a_single_photo_is_its_own_style():
    batch = arrays(style_batches(plain([100]), plain([90], 8), 32, 4, 4, 0), 1)[0]
    assert np.abs(batch["style"].mean() - 100 / 255) < 0.05


def test_crops_move_and_half_are_flipped():
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (32, 200, 3))
    batches = arrays(sr_batches(PhotoSet([ramp], 32), 32, 4, 8, 0), 8)
    rows = np.concatenate([np.round(255 * hr[:, 0, :, 0]) for _, hr in batches])
    flipped = rows[:, 0] > rows[:, -1]
    assert 0.25 < flipped.mean() < 0.75
    assert (np.abs(np.diff(rows)) == 1).all()
    starts = rows.min(1)
    assert len(set(starts)) > 30 and starts.min() < 30 and starts.max() > 138


def test_sr_batches_have_static_shapes_and_match():
    data = sr_batches(textured(3, 48), 32, 4, 4, 0)
    assert [tuple(part.shape) for part in data.element_spec] == [(4, 8, 8, 3), (4, 32, 32, 3)]
    lr, hr = arrays(data, 1)[0]
    np.testing.assert_allclose(lr, bicubic(hr, 4), atol=1e-6)


def striped(hr, styles, seed):
    """A degradation that nothing else is taken for."""
    return tf.tile(tf.constant([[[[0.0]], [[1.0]]]]) * tf.ones((4, 1, 1, 3)), [1, 4, 8, 1])


def is_striped(lr):
    return np.abs(np.diff(lr, axis=1)).mean((1, 2, 3)) > 0.8


def test_a_function_degrades_with_styles_and_a_seed_of_each_step():
    def degrade(hr, styles, seed):
        assert styles.shape == (4, 8, 8, 3)
        return striped(hr, styles, seed) * tf.random.stateless_uniform((), seed)

    seeds = [lr.std() for lr, _ in arrays(sr(degrade=degrade), 5)]
    assert len(set(seeds)) == 5


def test_a_function_without_styles_gets_none():
    def degrade(hr, styles, seed):
        assert styles is None
        return bicubic(hr, 4)

    assert len(arrays(sr_batches(textured(), 32, 4, 4, 0, degrade), 1)) == 1


def test_bicubic_share_is_the_share_of_samples():
    for share, low, high in ((0.0, 0, 0), (0.3, 0.15, 0.45), (1.0, 1, 1)):
        batches = arrays(sr(degrade=striped, bicubic_share=share), 25)
        clean = np.concatenate([~is_striped(lr) for lr, _ in batches])
        assert low <= clean.mean() <= high


def kinds(batches, **made):
    """What became of each sample: an array of booleans, [batch, sample] for each of `made`, bicubic and striped."""
    rows = []
    for step, (lr, hr) in enumerate(batches):
        same = [(lr == batch[step][0]).all((1, 2, 3)) for batch in made.values()]
        rows.append([*same, np.abs(lr - bicubic(hr, 4)).max((1, 2, 3)) < 1e-6, is_striped(lr)])
    return np.moveaxis(np.array(rows), 1, 0)


def test_the_hand_made_kinds_have_shares_of_their_own():
    shares = {"bicubic_share": 0.3, "classical_share": 0.3, "wide_share": 0.2}
    made = {kind: arrays(sr(degrade=kind), 50) for kind in ("classical", "wide")}
    classical_, wide_, clean, learnt = kinds(arrays(sr(degrade=striped, **shares), 50), **made)
    # Half of the wide ones are classical ones.
    assert (classical_ | wide_ | clean | learnt).all()
    np.testing.assert_allclose(
        [(classical_ & ~wide_).mean() + 0.1, clean.mean(), learnt.mean()], [0.3, 0.3, 0.2], atol=0.1
    )


def test_a_function_gets_no_patches_that_it_does_not_know():
    everyday = PhotoSet([np.tile(np.array([40, 200], np.uint8)[:, None, None], (40, 80, 3))], 32)
    shares = {"bicubic_share": 0.1, "wide_share": 0.1}
    for more in ({"zoom": 3.0}, {"everyday": everyday, "everyday_share": 0.5}):
        learnt = np.concatenate([is_striped(lr) for lr, _ in arrays(sr(degrade=striped, **shares, **more), 50)])
        assert 0.3 < learnt.mean() < 0.5  # four fifths of the half that are faces at their own size
    with pytest.raises(ValueError, match="zoom and everyday need"):
        sr(degrade=striped, zoom=2.0)


def test_what_a_function_does_to_colours_is_taken_back():
    reddish = lambda hr, styles, seed: tf.minimum(bicubic(hr, 4) * 0.5 + [0.3, 0.0, 0.1], 1.0)  # noqa: E731
    for lr, hr in arrays(sr(degrade=reddish), 3):
        np.testing.assert_allclose(lr.mean((1, 2)), bicubic(hr, 4).numpy().mean((1, 2)), atol=1e-3)
        assert lr.std() < 0.6 * bicubic(hr, 4).numpy().std()


def test_zoom_enlarges_half_of_the_patches():
    ramp = np.broadcast_to(np.arange(250, dtype=np.uint8)[None, :, None], (60, 250, 3))
    batches = arrays(sr_batches(PhotoSet([ramp], 32), 32, 4, 8, 0, zoom=4.0), 25)
    slopes = np.concatenate([np.abs(255 * (hr[:, 8, 24, 0] - hr[:, 8, 8, 0])) / 16 for _, hr in batches])
    own = slopes > 0.95
    assert 0.35 < own.mean() < 0.65
    assert slopes[~own].min() > 0.2 and slopes[~own].min() < 0.4 and slopes.max() < 1.1


def test_everyday_photos_are_a_share_at_sizes_of_their_own():
    ramp = np.broadcast_to(np.arange(250, dtype=np.uint8)[None, :, None], (90, 250, 3))
    data = sr_batches(plain([7]), 32, 4, 8, 0, everyday=PhotoSet([ramp], 32), everyday_share=0.25)
    patches = np.concatenate([hr for _, hr in arrays(data, 40)])
    everyday = patches.std((1, 2, 3)) > 0.001
    assert 0.18 < everyday.mean() < 0.32
    slopes = 255 * np.abs(patches[everyday][:, 8, 24, 0] - patches[everyday][:, 8, 8, 0]) / 16
    assert slopes.min() < 0.9 and slopes.max() > 1.7 and slopes.max() < 2.5  # zoomed by 1.3 down to 0.45


@pytest.mark.parametrize("degrade", ["bicubic", "classical", noisy_styles])
def test_sharpening_changes_the_targets_alone(degrade):
    plain_pairs, sharp_pairs = (arrays(sr(degrade=degrade, sharpen=amount), 2) for amount in (0.0, 0.5))
    for (lr, hr), (same_lr, sharp) in zip(plain_pairs, sharp_pairs):
        np.testing.assert_array_equal(lr, same_lr)
        np.testing.assert_allclose(sharp, unsharp_mask(hr, 0.5), atol=1e-6)
        assert sharp.std() > hr.std()


def test_classical_pairs_differ_in_kind_within_a_batch():
    lr, hr = arrays(sr_batches(textured(1), 32, 4, 8, 0, "classical"), 1)[0]
    spread = (lr - lr.mean((1, 2), keepdims=True)).std((1, 2, 3))
    assert spread.max() > 1.5 * spread.min()


def test_photos_that_are_read_from_disk_give_the_same_batches(tmp_path):
    for number, photo in enumerate(textured(5, 40).photos):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    held, read = (PhotoSet.load(tmp_path, 32, memory_limit_mb=limit) for limit in (10, 0))
    assert_same(arrays(sr_batches(held, 32, 4, 4, 0), 3), arrays(sr_batches(read, 32, 4, 4, 0), 3))


def test_wrong_requests_are_refused():
    with pytest.raises(ValueError, match="bilinear"):
        sr_batches(textured(), 32, 4, 4, 0, "bilinear")
    with pytest.raises(UserError, match="HR size is 30, must be a multiple of the scale, 4: choose 28"):
        style_batches(textured(), textured(7, 8), 30, 4, 4, 0)
