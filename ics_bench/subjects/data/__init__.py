"""Data sets, one file each: ``load()`` returns a `Dataset`, the same every time. All of them are offline."""
