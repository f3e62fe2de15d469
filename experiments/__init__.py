"""Grids, the runner, tables and figures, and the `tfew` command."""
