"""The HTML site: a folder of runs in, a page that people read offline out."""

from ics_bench.report.site import write_report

__all__ = ["write_report"]
