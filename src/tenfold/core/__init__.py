"""What all other parts use: errors, durable files, settings, the contract of a model."""
