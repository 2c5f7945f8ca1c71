"""Runs cases: in this process or in local processes."""
