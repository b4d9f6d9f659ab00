"""What a record is: from an image and a mask file to a batch of tensors."""
