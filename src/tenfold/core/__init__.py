"""What all other parts stand on: errors, durable files, the contract of a model."""
