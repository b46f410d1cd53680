"""A fitted learner to a calibrated, checked model file."""
