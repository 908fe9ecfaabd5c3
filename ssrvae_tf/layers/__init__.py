"""The layers of the two models."""

from ssrvae_tf.layers.adain import AdaIN
from ssrvae_tf.layers.attention import GlobalAttention, LocalAttention
from ssrvae_tf.layers.blocks import GARB, ICNR, LARB, ResidualBlock, SubPixelUpsampling
from ssrvae_tf.layers.colour import KeepColours, luma, with_luma
from ssrvae_tf.layers.images import bicubic_enlarge, bicubic_shrink, high_pass, local_mean, mirrored, shift_mirrored
from ssrvae_tf.layers.local_relation import local_relation
from ssrvae_tf.layers.mine import StatisticsNetwork, mean_and_deviation, mutual_information_bound

__all__ = [
    "GARB",
    "ICNR",
    "LARB",
    "AdaIN",
    "GlobalAttention",
    "KeepColours",
    "LocalAttention",
    "ResidualBlock",
    "StatisticsNetwork",
    "SubPixelUpsampling",
    "bicubic_enlarge",
    "bicubic_shrink",
    "high_pass",
    "local_mean",
    "local_relation",
    "luma",
    "mean_and_deviation",
    "mirrored",
    "mutual_information_bound",
    "shift_mirrored",
    "with_luma",
]
