"""What may be loaded, and as what? Most formats of models are programs: whoever loads them runs what they say."""
