"""A user's own rows: read from a table, made a task, trained on, predicted."""
