"""Our normalization kernels in CUDA C++, launched through CuPy: no atomics, so the same bits every time.

`plan` decides, in plain Python, which kernels run on which grid; `source` holds their text; `launch` runs
a plan on a GPU; `functions` are what a user calls. Only the last two import CuPy or torch.
"""
