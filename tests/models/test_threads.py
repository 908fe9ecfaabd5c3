"""What several threads may compute at once: a server's, or those of a tf.data pipeline."""

from __future__ import annotations

import pytest
import tensorflow as tf
from tensorflow.python.eager import context  # no other way to a graph as it is run

from ssrvae_tf.models import EDSR, RDN, SRCNN, SRGAN, SRNetwork, StyleVAE
from tests.layers import reference

_NETWORKS = {
    "sr_network": lambda: SRNetwork(4, 8, 1, 1),
    "edsr": lambda: EDSR(4, 8, 1),
    "rdn": lambda: RDN(4, 8, 2, 2),
    "srcnn": lambda: SRCNN(4),
    "srgan": lambda: SRGAN(4, 8, 1),
}


def _fusions(function, *inputs) -> list[list[str]]:
    """What TensorFlow has made one operator of, for each such operator that ran."""
    context.enable_run_metadata()
    try:
        function(*inputs)
        ran = context.export_run_metadata()
    finally:
        context.disable_run_metadata()
    nodes = [node for graph in ran.partition_graphs for node in reference.nodes(graph)]
    return [[name.decode() for name in node.attr["fused_ops"].list.s] for node in nodes if "fused_ops" in node.attr]


# oneDNN's convolution with a sum keeps tensors of a call in the operator, which other threads' calls free.
@pytest.mark.onednn
@pytest.mark.parametrize("name", _NETWORKS)
def test_no_network_has_a_convolution_that_is_fused_with_a_sum(name):
    network = _NETWORKS[name]()
    fusions = _fusions(network.enlarge, tf.zeros([2, 8, 8, 3]))
    assert any(fused[0] == "BiasAdd" for fused in fusions)
    assert not [fused for fused in fusions if "Add" in fused]


@pytest.mark.onednn
@pytest.mark.parametrize("form", ["transfer", "paper"])
def test_neither_has_a_style_vae(form):
    vae = StyleVAE(lr_size=8, latent_dim=6, filters=8, encoder_strides=(2, 1), form=form)
    degrade = tf.function(lambda hr, lr: (vae.degrade(hr, lr), vae.posterior(lr).mean()))
    fusions = _fusions(degrade, tf.zeros([2, 32, 32, 3]), tf.zeros([2, 8, 8, 3]))
    assert ["BiasAdd", "Relu"] in fusions
    assert not [fused for fused in fusions if "Add" in fused]
