"""`sweep` and `compare`: many trainings through an executor, one table."""
