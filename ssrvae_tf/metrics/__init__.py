"""Measures of results: against the true picture (PSNR, SSIM) and against a set of real ones (FD, KD)."""

from ssrvae_tf.metrics.distances import Features, frechet_distance, kernel_distance
from ssrvae_tf.metrics.image_quality import psnr, ssim
from ssrvae_tf.metrics.report import Report

__all__ = ["Features", "Report", "frechet_distance", "kernel_distance", "psnr", "ssim"]
