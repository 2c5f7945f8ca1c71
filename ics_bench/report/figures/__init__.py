"""Figures, one file each: a module that defines ``FIGURE``, an `ics_bench.report.figure.Figure`.

It names the workload and the metrics, case keys and curve that it needs, and draws one or more panels of
them. A run that lacks one of them gets a sentence in its place. A workload without a figure is still on the
page, with its table, its warnings, and what was skipped or failed.
"""
