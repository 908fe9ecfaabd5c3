"""Photos as bytes inside a graph: decoded, their size checked first, and encoded."""

from __future__ import annotations

import tensorflow as tf

_HEADER = 1162  # bytes; the sizes of PNG, GIF and BMP lie within, and a BMP's longest header and palette
_STARTS = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n", "GIF": b"GIF8", "BMP": b"BM"}


def decode(data: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Decode a photo as it is stored: a turn that is only noted in EXIF is not made.

    Gray becomes RGB; a PNG's transparent parts become white; of an animation the first picture is taken. The size is
    read off the header, and a GIF's off its first picture too, before memory for the pixels is taken.

    Args:
        data: a string, () : JPEG, PNG, GIF or BMP, of 8, 24 or 32 bits without compression.
        max_pixels: larger photos are refused.

    Returns:
        (H, W, 3) float32 in [0, 1].

    Raises:
        tf.errors.InvalidArgumentError: in the graph, for a photo that is too large, of another format, or damaged.
    """
    header = _header(data)
    starts = [tf.reduce_all(header[: len(start)] == list(start)) for start in _STARTS.values()]
    kind = tf.argmax(tf.stack([*starts, tf.constant(True)]), output_type=tf.int32)
    data = _if(kind < len(_STARTS), ["not a JPEG, PNG, GIF or BMP: send one of these"], data)
    sizes = [
        lambda: tf.cast(tf.image.extract_jpeg_shape(data)[:2], tf.int64),
        lambda: tf.stack([_number(header[20:24][::-1]), _number(header[16:20][::-1])]),
        lambda: tf.stack([_number(header[8:10]), _number(header[6:8])]),
        lambda: _bmp_size(header),
    ]
    data = _if_small(tf.switch_case(kind, sizes), max_pixels, data)
    decoders = [
        lambda: _jpeg(data),
        lambda: _png(data, header),
        lambda: _gif(data, max_pixels),
        lambda: _bmp(data, header),
    ]
    return tf.ensure_shape(tf.switch_case(kind, decoders), [None, None, 3])


def encode(photo: tf.Tensor) -> tf.Tensor:
    """(H, W, 3) float32 in [0, 1] -> a string, (): PNG of 8 bits."""
    return tf.io.encode_png(tf.cast(tf.round(photo * 255.0), tf.uint8))


def _header(data):
    """The first bytes as numbers, zeros where there are none."""
    start = tf.strings.join([tf.strings.substr(data, 0, _HEADER), tf.constant(bytes(_HEADER))])
    numbers = tf.io.decode_raw(tf.strings.substr(start, 0, _HEADER), tf.uint8)
    return tf.cast(tf.ensure_shape(numbers, [_HEADER]), tf.int64)


def _number(values, signed: bool = False):
    """What bytes mean, the least significant one first."""
    count = int(values.shape[0])
    number = tf.reduce_sum(values * [256**i for i in range(count)])
    if not signed:
        return number
    return number - tf.where(number >= 2 ** (8 * count - 1), tf.constant(2 ** (8 * count), tf.int64), 0)


def _if(condition, message: list, value):
    """`value`, but an error if the condition does not hold."""
    with tf.control_dependencies([tf.debugging.Assert(condition, message)]):
        return tf.identity(value)


def _if_small(size, max_pixels: int, value):
    width, height = tf.strings.as_string(size[1]), tf.strings.as_string(size[0])
    rest = f" pixels, at most {max_pixels} pixels are taken: send a smaller one or tiles"
    return _if(size[0] * size[1] <= max_pixels, [tf.strings.join(["photo of ", width, "x", height, rest])], value)


def _unit(pixels):
    return tf.cast(pixels, tf.float32) / 255.0


def _jpeg(data):
    return _unit(tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"))


def _png(data, header):
    pixels = tf.io.decode_png(data, channels=4)
    photo, alpha = _unit(pixels[..., :3]), pixels[..., 3:]
    # Where a file of few bits has no transparency, the decoder fills in the greatest number of those bits.
    depth = tf.minimum(header[24], 8)
    filled = tf.cast(tf.bitwise.left_shift(tf.constant(1, tf.int64), depth) - 1, tf.uint8)
    alpha = tf.where(tf.reduce_all(alpha == filled), 1.0, _unit(alpha))
    return photo * alpha + (1.0 - alpha)


def _gif(data, max_pixels: int):
    """The first picture alone: the decoder would unpack all, each as large as it says itself."""
    numbers = tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int64)
    numbers = tf.concat([numbers, tf.zeros([16], tf.int64)], 0)
    length = tf.size(numbers, tf.int64) - 16
    at, steps = _after_blocks(numbers, 13 + _palette(numbers[10]), False, 0, max_pixels)
    at = tf.minimum(at, length)
    picture = tf.ensure_shape(numbers[at : at + 10], [10])
    picture = _if(picture[0] == ord(","), ["damaged GIF: send it as PNG"], picture)
    size = tf.stack([_number(picture[7:9]), _number(picture[5:7])])
    picture = _if_small(size, max_pixels, picture)
    end, _ = _after_blocks(numbers, at + 11 + _palette(picture[9]), True, steps, max_pixels)
    first = tf.strings.join([tf.strings.substr(data, tf.constant(0, tf.int64), tf.minimum(end, length)), ";"])
    return _unit(tf.io.decode_image(first, channels=3, expand_animations=False))


def _palette(flags):
    """Bytes of a GIF's palette."""
    return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8), 0)


def _after_blocks(numbers, at, inside: bool, steps, max_pixels: int):
    """Where the extensions of a GIF end that start at `at`, or, `inside` one or a picture, only its blocks."""
    most = 1024 + max_pixels // 16  # blocks of 255 bytes are usual, but a file may have as many as half its bytes
    last = tf.size(numbers, tf.int64) - 1

    def goes_on(at, within, steps):
        more = within if inside else within | (numbers[tf.minimum(at, last)] == ord("!"))
        return more & (steps <= most)

    def step(at, within, steps):
        number = numbers[tf.minimum(at, last)]
        return at + tf.where(within, 1 + number, 2), ~within | (number > 0), steps + 1

    start = [tf.cast(at, tf.int64), tf.constant(inside), tf.cast(steps, tf.int64)]
    at, _, steps = tf.while_loop(goes_on, step, start, parallel_iterations=1)
    return _if(steps <= most, ["GIF of too many blocks: send it as PNG"], at), steps


def _bmp_size(header):
    header_size, bits, compression = _number(header[14:18]), _number(header[28:30]), _number(header[30:34])
    taken = (header_size >= 40) & (header_size <= 124) & (compression == 0)
    taken &= tf.reduce_any(bits == [8, 24, 32])
    message = "BMP of another kind than 8, 24 or 32 bits without compression: send it as PNG"
    header = _if(taken, [message], header)
    return tf.stack([tf.abs(_number(header[22:26], signed=True)), _number(header[18:22])])


def _bmp(data, header):
    # The decoder wants to be told how many channels there are, or gives those that it finds: 1, 3 or 4. The first is a
    # place in the palette. The fourth is unused in most files, whatever it holds.
    pixels = tf.io.decode_bmp(data)
    return _unit(tf.cond(tf.shape(pixels)[2] == 1, lambda: _from_palette(pixels, header), lambda: pixels[..., :3]))


def _from_palette(pixels, header):
    start = 14 + _number(header[14:18])
    palette = header[start : tf.minimum(_number(header[10:14]), start + 1024)]  # 4 bytes for each colour
    palette = tf.concat([palette, tf.zeros([1024], tf.int64)], 0)[:1024]
    blue_green_red = tf.reshape(palette, [256, 4])[:, :3]
    return tf.cast(tf.gather(blue_green_red[:, ::-1], tf.cast(pixels[..., 0], tf.int32)), tf.uint8)
