"""The command line ``ics-bench``: a file for each command, and what they share."""
