"""One module a data set layout: each finds the images and masks below a root and pairs them."""
