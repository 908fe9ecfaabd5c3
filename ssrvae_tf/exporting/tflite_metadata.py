"""What a TFLite file says about itself, in TensorFlow Lite's metadata schema (version 1.0.0), which Android reads."""

from __future__ import annotations

import flatbuffers

_IDENTIFIER = b"M001"
# Of the schema's union ContentProperties, of its ColorSpaceType, and of its union ProcessUnitOptions.
_IMAGE, _RGB, _NORMALISATION = 2, 1, 1


def with_metadata(file: bytes, name: str, description: str, version: str, licence: str) -> bytes:
    """A TFLite file with what its photos are: RGB in [0, 1], which is (0 to 255 - 0) / 255."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(file))
    buffer, entry = type(model.buffers[0])(), type(model.metadata[0])()
    buffer.data = _metadata(name, description, version, licence)
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata.append(entry)
    model.description = description.encode()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _metadata(name: str, description: str, version: str, licence: str) -> bytes:
    builder = flatbuffers.Builder(1024)
    takes = _photo(builder, "lr", "small photo, RGB in [0, 1], NHWC", normalised=True)
    gives = _photo(builder, "sr", "the photo enlarged, RGB in [0, 1], NHWC", normalised=False)
    graph = _table(builder, 6, {2: _offsets(builder, [takes]), 3: _offsets(builder, [gives])})
    texts = {0: name, 1: description, 2: version, 5: licence, 7: "1.0.0"}
    fields = {slot: builder.CreateString(text) for slot, text in texts.items()}
    fields[3] = _offsets(builder, [graph])
    builder.Finish(_table(builder, 8, fields), _IDENTIFIER)
    return bytes(builder.Output())


def _photo(builder, name: str, description: str, normalised: bool) -> int:
    """A TensorMetadata."""
    properties = _table(builder, 2, {}, {0: _RGB})
    content = _table(builder, 3, {1: properties}, {0: _IMAGE})
    fields = {0: builder.CreateString(name), 1: builder.CreateString(description), 3: content}
    if normalised:
        options = _table(builder, 2, {0: _floats(builder, [0.0]), 1: _floats(builder, [255.0])})
        unit = _table(builder, 2, {1: options}, {0: _NORMALISATION})
        fields[4] = _offsets(builder, [unit])
    fields[5] = _table(builder, 2, {0: _floats(builder, [1.0]), 1: _floats(builder, [0.0])})  # most, least
    return _table(builder, 7, fields)


def _table(builder, slots: int, offsets: dict[int, int], numbers: dict[int, int] | None = None) -> int:
    builder.StartObject(slots)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, number in (numbers or {}).items():
        builder.PrependInt8Slot(slot, number, 0)
    return builder.EndObject()


def _offsets(builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder, values: list[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()
