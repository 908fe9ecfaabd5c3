"""What holds for either client of `ssrvae_tf.serving`; a subclass says how to make its own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from tiny_saved_models import MOST_PIXELS, SCALE, decoded, encoded, enlarged, photo

from ssrvae_tf.errors import UserError
from ssrvae_tf.serving import RequestRefused, ServerAway


class ServingClientCase:
    #: a code of each kind of refusal
    INVALID = NOT_FOUND = UNKNOWN_SIGNATURE = None
    #: the server's words for an unknown signature
    NO_SIGNATURE = ""

    def make(self, server, **options):
        raise NotImplementedError

    @pytest.fixture
    def client(self, stand_in):
        with self.make(stand_in) as client:
            yield client

    def refusal(self, call) -> RequestRefused:
        with pytest.raises(RequestRefused) as refused:
            call()
        assert isinstance(refused.value, UserError) and "\n" not in str(refused.value)
        return refused.value

    @pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "1", "P", "CMYK"])
    def test_a_picture_comes_back_enlarged_in_its_mode(self, client, mode):
        picture = Image.fromarray(photo()).convert(mode)
        result = client.upscale(picture)
        assert isinstance(result, Image.Image) and result.size == (80, 48)
        assert result.mode == {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode)
        wanted = enlarged(np.asarray(picture.convert("RGB")))
        np.testing.assert_allclose(np.asarray(result.convert("RGB"), int), wanted, atol=1)

    @pytest.mark.parametrize("shape", [(12, 20), (12, 20, 1), (12, 20, 2), (12, 20, 3), (12, 20, 4), (1, 1, 3)])
    def test_an_array_keeps_its_channels(self, client, shape):
        image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
        result = client.upscale(image)
        assert result.dtype == np.uint8 and result.shape == (shape[0] * SCALE, shape[1] * SCALE, *shape[2:])

    def test_alpha_is_enlarged_beside_the_colours(self, client):
        image = np.dstack([photo(), np.full((12, 20), 255, np.uint8)])
        image[:, :10, 3] = 0
        result = client.upscale(image)
        assert (result[:, :30, 3] == 0).all() and (result[:, 50:, 3] == 255).all()

    def test_floats_are_not_rounded(self, client):
        image = photo(8, 6).astype(np.float32) / 255 * 0.999
        result = client.upscale(image)
        assert result.dtype == np.float32 and result.shape == (24, 32, 3)
        np.testing.assert_allclose(result, enlarged(photo(8, 6)) / 255 * 0.999, atol=2 / 255)
        assert np.abs(result * 255 - np.rint(result * 255)).max() > 0.1
        batch = client.upscale(np.stack([image, image[::-1]]).astype(np.float64))
        assert batch.dtype == np.float64
        np.testing.assert_allclose(batch[0], result, atol=1e-6)

    @pytest.mark.parametrize(
        "image, wrong",
        [
            (np.zeros((4, 4, 3), np.int64), "int64"),
            (np.zeros((4, 4, 5), np.uint8), r"\(4, 4, 5\)"),
            (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
            (np.full((4, 4, 3), 255.0), "255"),
            (np.full((4, 4, 3), np.nan), "nan"),
            (np.zeros((4, 4)), r"\(4, 4\)"),
            (Image.new("F", (4, 4)), "mode F"),
        ],
    )
    def test_what_is_no_image_is_not_sent(self, client, image, wrong):
        with pytest.raises((TypeError, ValueError), match=wrong):
            client.upscale(image)

    def test_encoded_images_of_any_sizes_keep_their_order(self, client):
        images = [photo(20, 12), photo(5, 30, seed=1), photo(9, 9, seed=2)]
        results = client.upscale_bytes([encoded(images[0]), encoded(images[1], "BMP"), encoded(images[2])])
        for image, result in zip(images, results):
            np.testing.assert_array_equal(decoded(result), enlarged(image))
        assert client.upscale_bytes([]) == []
        with pytest.raises(TypeError, match="a list of images is wanted"):
            client.upscale_bytes(encoded(images[0]))

    def test_a_style_vae_on_the_server_degrades(self, client):
        result = client.degrade(photo(32, 24))
        assert result.dtype == np.uint8 and result.shape == (6, 8, 3)
        assert client.degrade(Image.fromarray(photo(32, 24))).size == (8, 6)
        with pytest.raises(ValueError, match=r"\(24, 32\)"):
            client.degrade(photo(32, 24)[..., 0])

    def test_too_many_pixels_are_refused_in_the_servers_words(self, client):
        refused = self.refusal(lambda: client.upscale(np.zeros((129, 128, 3), np.uint8)))
        assert f"more than {MOST_PIXELS} pixels, send a smaller one" in str(refused)
        assert refused.code == self.INVALID

    def test_an_undecodable_image_is_refused_in_the_servers_words(self, client):
        refused = self.refusal(lambda: client.upscale_bytes([encoded(photo()), b"nothing"]))
        assert re.search("Unknown image file format. One of JPEG,.* PNG, GIF, BMP.* required.", str(refused))
        assert "\n" in refused.message

    def test_an_unknown_model_version_or_signature_is_named(self, stand_in):
        with self.make(stand_in, model="nope") as client:
            refused = self.refusal(lambda: client.upscale(photo()))
            assert (refused.code, refused.message) == (self.NOT_FOUND, "Servable not found for request: Latest(nope)")
            assert not client.ready()
        with self.make(stand_in, version=7) as client:
            refused = self.refusal(lambda: client.upscale(photo()))
            assert refused.message == "Servable not found for request: Specific(ssrvae, 7)"
            assert not client.ready()
        with self.make(stand_in, signature="nope") as client:
            refused = self.refusal(lambda: client.upscale(photo()))
            assert (refused.code, refused.message) == (self.UNKNOWN_SIGNATURE, self.NO_SIGNATURE)

    def test_a_server_that_serves_the_model_is_ready(self, client, stand_in):
        assert client.ready()
        with self.make(stand_in, version=1) as versioned:
            assert versioned.ready()
            np.testing.assert_array_equal(versioned.upscale(photo()), enlarged(photo()))

    def test_many_threads_share_one_client(self, client):
        images = [photo(5, 4, seed=seed) for seed in range(8)]
        wanted = [enlarged(image) for image in images]
        with ThreadPoolExecutor(128) as pool:  # the server runs 16 requests at once
            results = list(pool.map(lambda n: client.upscale(images[n % 8]), range(1000)))
        assert all(np.array_equal(result, wanted[n % 8]) for n, result in enumerate(results))

    def assert_away(self, call, words: str) -> None:
        with pytest.raises(ServerAway, match=words) as away:
            call()
        assert isinstance(away.value, UserError) and "\n" not in str(away.value)
