"""Photos as files on a disk: reading, writing, finding, and jobs on many of them. Knows no TensorFlow."""
