"""Turn pictures into arrays: decoding, the fit to the MNIST box, digits on a page."""
