"""Models in versions, run in sessions, and what a request to them ends with."""

from __future__ import annotations

import collections
from pathlib import Path

import tensorflow as tf
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

    def run(self, name: str, inputs: dict, wanted=()) -> dict:
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
        try:
            values = self._session.run(
                [signature.outputs[each].name for each in names],
                {signature.inputs[each].name: value for each, value in inputs.items()},
            )
        except tf.errors.OpError as error:
            raise Status(_words_of_the_op(error.message), error.error_code) from error
        return dict(zip(names, values))

    def _warm_up(self, path: Path) -> int:
        if not path.is_file():
            return 0
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        for record in records:
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            self.run(request.model_spec.signature_name, {k: tf.make_ndarray(v) for k, v in request.inputs.items()})
        return len(records)


def _words_of_the_op(message: str) -> str:
    """Without what Python adds: the first line, then where it happened."""
    lines = message.replace("Graph execution error:", "", 1).strip().splitlines()
    return "\n".join([lines[0], *[line for line in lines[1:] if "[[{{node" in line]])


class Model:
    """All versions under a base path; the newest is served, `reload` swaps."""

    def __init__(self, name: str, base_path: Path):
        self.name, self.base_path = name, Path(base_path)
        self.servables, self.states = {}, {}  # by version
        self.reload()

    def reload(self) -> None:
        folders = [path.parent for path in self.base_path.glob("*/saved_model.pb") if path.parent.name.isdigit()]
        folder = max(folders, key=lambda path: int(path.name), default=None)
        if folder is None or int(folder.name) in self.states:
            return
        newest = int(folder.name)
        self.states[newest] = ("LOADING", OK, "")
        try:
            servable = Servable(folder)
        except Exception as error:  # whatever it is, the versions that work go on
            self.states[newest] = ("END", getattr(error, "code", 13), str(error))
            return
        self.servables = {newest: servable}  # only now does the old one go; requests that run on it end on it
        self.states.update({each: ("END", *state[1:]) for each, state in self.states.items() if each != newest})
        self.states[newest] = ("AVAILABLE", OK, "")


class Models:
    def __init__(self, base_paths: dict):
        self._models = {name: Model(name, path) for name, path in base_paths.items()}
        self.requests = collections.Counter()  # by model, and whether it was answered

    def reload(self) -> None:
        for model in self._models.values():
            model.reload()

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

    def predict(self, name: str, version: int | None, signature: str, inputs: dict, wanted=()) -> tuple[int, dict]:
        number, servable = self.servable(name, version)
        try:
            outputs = servable.run(signature, inputs, wanted)
        except Status:
            self.requests[name, "INVALID_ARGUMENT"] += 1
            raise
        self.requests[name, "OK"] += 1
        return number, outputs
