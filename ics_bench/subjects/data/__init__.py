"""Data sets, one file each: ``load(seed)`` returns a `Dataset`. All of them are offline."""
