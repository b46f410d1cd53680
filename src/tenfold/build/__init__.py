"""Turn a fitted learner into a calibrated, checked model file."""
