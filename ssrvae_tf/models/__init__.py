"""The two models of SSRVAE and the networks they are compared with."""

from ssrvae_tf.config import LossWeights
from ssrvae_tf.models.baselines import EDSR, RDN, SRCNN, SRGAN
from ssrvae_tf.models.sr_network import SRNetwork
from ssrvae_tf.models.style_vae import StyleVAE

__all__ = ["EDSR", "RDN", "SRCNN", "SRGAN", "LossWeights", "SRNetwork", "StyleVAE"]
