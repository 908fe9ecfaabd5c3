"""All that the paper's five tables need, trained and measured: what `python -m ssrvae_tf.reproduce` does."""
