"""Clients of a TensorFlow Serving that serves what `python -m ssrvae_tf.export MODEL --savedmodel` wrote.

    from ssrvae_tf.serving import RestClient
    sharp = RestClient("http://localhost:8501").upscale(photo)  # an array or a Pillow image in, the same kind out

Neither needs TensorFlow at import. `GrpcClient` needs grpcio and tensorflow-serving-api, once it is made.
"""

from __future__ import annotations

from typing import Any

from ssrvae_tf.serving.base import Client
from ssrvae_tf.serving.errors import RequestRefused, ServerAway, ServingError
from ssrvae_tf.serving.grpc_client import GrpcClient
from ssrvae_tf.serving.rest_client import RestClient

__all__ = ["Client", "GrpcClient", "RequestRefused", "RestClient", "ServerAway", "ServingError", "client"]

_GRPC = "grpc://"


def client(url: str, **options: Any) -> Client:
    """The client for an address: GrpcClient for grpc://HOST:8500, else RestClient; `options` are theirs.

    Raises:
        UserError: if the address is not one, or gRPC's packages are missing.
        ValueError: if an option is out of range.

    Examples:
        >>> type(client("grpc://localhost:8500", timeout=30)).__name__
        'GrpcClient'
    """
    return GrpcClient(url[len(_GRPC) :], **options) if url.startswith(_GRPC) else RestClient(url, **options)
