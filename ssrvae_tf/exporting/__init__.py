"""Trained models as files for other programs: TensorFlow Serving, phones, other runtimes."""
