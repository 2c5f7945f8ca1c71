"""A run on disk: append, read, resume, export."""
