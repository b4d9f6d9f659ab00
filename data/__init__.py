"""What a record is: from an image and a mask file to a batch of tensors."""

from data.cpu_kernels import prefer_onednn

# TensorFlow reads the setting once, when it is imported; the other packages import this one first.
prefer_onednn()
