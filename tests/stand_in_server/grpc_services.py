"""The gRPC interface."""

from __future__ import annotations

import grpc
import tensorflow as tf
from stand_in_server.servables import Models, Status
from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc

GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _version(spec) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def _ending_in_its_status(method):
    def answer(self, request, context):
        try:
            return method(self, request)
        except Status as status:
            return context.abort(GRPC_CODES[status.code], status.message)

    return answer


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: Models):
        self._models = models

    @_ending_in_its_status
    def Predict(self, request):
        if not request.HasField("model_spec"):
            raise Status("Missing ModelSpec")
        spec = request.model_spec
        _, servable = self._models.servable(spec.name, _version(spec), spec.version_label)
        servable.signature(spec.signature_name)
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        version, outputs = self._models.predict(
            spec.name, _version(spec), spec.signature_name, inputs, request.output_filter
        )
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name, answer.model_spec.version.value = spec.name, version
        answer.model_spec.signature_name = spec.signature_name or "serving_default"
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    @_ending_in_its_status
    def GetModelMetadata(self, request):
        if not request.metadata_field:
            raise Status("GetModelMetadataRequest must specify at least one metadata_field")
        spec = request.model_spec
        return self._models.metadata(spec.name, _version(spec), spec.version_label)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models):
        self._models = models

    @_ending_in_its_status
    def GetModelStatus(self, request):
        return self._models.status(request.model_spec.name, _version(request.model_spec))
