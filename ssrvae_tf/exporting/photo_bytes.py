"""Photos as bytes inside a graph: decoded, their size checked first, and encoded."""

from __future__ import annotations

import tensorflow as tf

_HEADER = 32  # bytes; the sizes of PNG, GIF and BMP lie within
_STARTS = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n", "GIF": b"GIF8", "BMP": b"BM"}


def decode(data: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Decode a photo as it is stored: a turn that is only noted in EXIF is not made.

    Gray becomes RGB; a PNG's transparent parts become white; of an animation the first picture is taken. The size is
    read off the header, before memory for the pixels is taken.

    Args:
        data: a string, () : JPEG, PNG, GIF or BMP.
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
        lambda: tf.stack([tf.abs(_number(header[22:26], signed=True)), _number(header[18:22])]),
    ]
    data = _if_small(tf.switch_case(kind, sizes), max_pixels, data)
    decoders = [lambda: _jpeg(data), lambda: _png(data), lambda: _gif(data), lambda: _bmp(data)]
    photo = tf.ensure_shape(tf.switch_case(kind, decoders), [None, None, 3])
    # Again, since a GIF's pictures may be larger than its header says.
    return _if_small(tf.shape(photo, tf.int64)[:2], max_pixels, photo)


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
    return (
        number - tf.where(number >= 2 ** (8 * count - 1), tf.constant(2 ** (8 * count), tf.int64), 0)
        if signed
        else number
    )


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


def _png(data):
    photo = _unit(tf.io.decode_png(data, channels=4))
    alpha = photo[..., 3:]
    return photo[..., :3] * alpha + (1.0 - alpha)


def _gif(data):
    return _unit(tf.io.decode_image(data, channels=3, expand_animations=False))


def _bmp(data):
    # The decoder wants to be told how many channels there are, or gives those that it finds: 1, 3 or 4. The fourth is
    # unused in most files, whatever it holds.
    photo = _unit(tf.io.decode_bmp(data))
    photo = tf.tile(photo, [1, 1, tf.where(tf.shape(photo)[2] == 1, 3, 1)])
    return photo[..., :3]
