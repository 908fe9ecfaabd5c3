"""Models in versions, run in sessions, and what a request to them ends with."""

from __future__ import annotations

import collections
import threading
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, prediction_log_pb2

OK, INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, UNIMPLEMENTED = 0, 3, 5, 9, 12
WARM_UP = Path("assets.extra", "tf_serving_warmup_requests")


class Status(Exception):
    """What a request ends with when it fails: a canonical code and the server's words."""

    def __init__(self, message: str, code: int = INVALID_ARGUMENT):
        super().__init__(message)
        self.code, self.message = code, message


class Servable:
    """One version of a model, loaded into a session. Raises Status if it cannot be, or if a warm-up request fails."""

    def __init__(self, folder: Path):
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((folder / "saved_model.pb").read_bytes())
        graph = next(each for each in saved.meta_graphs if "serve" in each.meta_info_def.tags)
        for node in graph.graph_def.node:
            if node.op == "Placeholder":  # Python's session would check shapes, the real server's does not
                node.attr["shape"].shape.Clear()
                node.attr["shape"].shape.unknown_rank = True
                node.attr.pop("_output_shapes", None)
        self.signatures = dict(graph.signature_def)
        with tf.Graph().as_default():
            self._session = tf.compat.v1.Session()
            saver = tf.compat.v1.train.import_meta_graph(graph)
            if saver is not None:
                saver.restore(self._session, str(folder / "variables" / "variables"))
        for start in self.signatures["__saved_model_init_op"].outputs.values():
            self._session.run(start.name.split(":")[0])
        self.warmed_up = self._warm_up(folder / WARM_UP)

    def signature(self, name: str):
        """Raises Status in the words of gRPC; REST looks the name up itself, and has others."""
        name = name or "serving_default"
        if name not in self.signatures:
            raise Status(f'Serving signature key "{name}" not found.', FAILED_PRECONDITION)
        return self.signatures[name]

    def run(self, name: str, inputs: dict, wanted=(), timeout_ms: int = 0) -> dict:
        """`timeout_ms` of 0 is none."""
        signature = self.signature(name)
        extra, missing = sorted(set(inputs) - set(signature.inputs)), sorted(set(signature.inputs) - set(inputs))
        if extra or missing:
            raise Status(
                f"input size does not match signature: {len(inputs)}!={len(signature.inputs)} "
                f"len({{{','.join(sorted(inputs))}}}) != len({{{','.join(sorted(signature.inputs))}}}). "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}.",
            )
        names = list(wanted) or list(signature.outputs)
        for each in names:
            if each not in signature.outputs:
                raise Status(
                    f"output tensor alias not found in signature: {each} "
                    f"Outputs expected to be in the set {{{','.join(sorted(signature.outputs))}}}.",
                )
        for index, (each, value) in enumerate(sorted(inputs.items())):  # Python's session would convert it
            given, takes = type_name(value.dtype), type_name(signature.inputs[each].dtype)
            if given != takes:
                raise Status(f"Expects arg[{index}] to be {takes} but {given} is provided")
        try:
            values = self._session.run(
                [signature.outputs[each].name for each in names],
                {signature.inputs[each].name: value for each, value in inputs.items()},
                options=tf.compat.v1.RunOptions(timeout_in_ms=timeout_ms),
            )
        except tf.errors.OpError as error:
            # Its context is what the session said, with the names of functions, before Python edited it.
            raise Status(error.__context__.message, error.error_code) from error
        return dict(zip(names, values))

    def _warm_up(self, path: Path) -> int:
        if not path.is_file():
            return 0
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        for record in records:
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            self.run(request.model_spec.signature_name, {k: tf.make_ndarray(v) for k, v in request.inputs.items()})
        return len(records)


def type_name(dtype) -> str:
    """As C++ says it: "float" and "double"."""
    return types_pb2.DataType.Name(tf.as_dtype(dtype).as_datatype_enum).removeprefix("DT_").lower()


class Model:
    """All versions under a base path; the newest is served, `reload` swaps."""

    def __init__(self, name: str, base_path: Path):
        self.name, self.base_path = name, Path(base_path)
        self.servables, self.states = {}, {}  # by version
        self._given_up = None  # the newest version, where it could not be loaded

    def reload(self, retries: int, pause) -> None:
        """Serve the newest version that is there; `pause` waits before each retry, and says whether to give up."""
        folders = [path.parent for path in self.base_path.glob("*/saved_model.pb") if path.parent.name.isdigit()]
        folder = max(folders, key=lambda path: int(path.name), default=None)
        newest = folder and int(folder.name)
        if newest is None:
            return self._serve({})
        if newest in self.servables or newest == self._given_up:
            return
        self._given_up = None
        self.states[newest] = ("LOADING", OK, "")
        for left in reversed(range(retries + 1)):
            try:
                return self._serve({newest: Servable(folder)})
            except Exception as error:  # whatever it is, the versions that work go on
                if not left or pause():
                    self.states[newest] = ("END", getattr(error, "code", 13), str(error))
                    break
        self._given_up = newest

    def _serve(self, servables: dict) -> None:
        self.servables = servables  # only now does the old one go; requests that run on it end on it
        self.states = {
            each: ("AVAILABLE" if each in servables else "END", *state[1:]) for each, state in self.states.items()
        }


class Models:
    """`load_retries`, `retry_seconds`: see `StandIn`; `stopped` ends the retries as well."""

    def __init__(self, base_paths: dict, load_retries: int, retry_seconds: float, stopped: threading.Event):
        self._models = {name: Model(name, path) for name, path in base_paths.items()}
        self._retries, self._pause = load_retries, lambda: stopped.wait(retry_seconds)
        self.requests = collections.Counter()  # by model, and whether it was answered
        self.reload()

    def reload(self) -> None:
        """One model after the other: one that cannot be loaded holds up the others while it is tried again."""
        for model in self._models.values():
            model.reload(self._retries, self._pause)

    def servable(self, name: str, version: int | None, label: str = "") -> tuple[int, Servable]:
        if label:
            raise Status(f"Unrecognized servable version label: {label}")
        servables = self._models[name].servables if name in self._models else {}
        for number, servable in servables.items():
            if version in (None, number):
                return number, servable
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise Status(f"Servable not found for request: {wanted}", NOT_FOUND)

    def status(self, name: str, version: int | None) -> get_model_status_pb2.GetModelStatusResponse:
        states = dict(self._models[name].states) if name in self._models else {}
        if not states:
            raise Status(f"Could not find any versions of model {name}", NOT_FOUND)
        if version is not None and version not in states:
            raise Status(f"Could not find version {version} of model {name}", NOT_FOUND)
        answer = get_model_status_pb2.GetModelStatusResponse()
        for number in sorted(states, reverse=True) if version is None else [version]:
            state, code, message = states[number]
            entry = answer.model_version_status.add(version=number, state=state)
            entry.status.error_code, entry.status.error_message = code, message
        return answer

    def metadata(self, name: str, version: int | None, label: str = ""):
        number, servable = self.servable(name, version, label)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name, answer.model_spec.version.value = name, number
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for each, signature in servable.signatures.items():
            signatures.signature_def[each].CopyFrom(signature)
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def predict(
        self, name: str, version: int | None, signature: str, inputs: dict, wanted=(), timeout_ms: int = 0
    ) -> tuple[int, dict]:
        number, servable = self.servable(name, version)
        try:
            outputs = servable.run(signature, inputs, wanted, timeout_ms)
        except Status:
            self.requests[name, "INVALID_ARGUMENT"] += 1
            raise
        self.requests[name, "OK"] += 1
        return number, outputs
