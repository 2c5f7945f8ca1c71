"""What a kernel is asked to do, and the fewest bytes that it can move. Pure functions; no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ics_bench.core import UsageError

Direction = Literal["forward", "backward"]
Layout = Literal["contiguous", "channels_last"]
_DEFAULTS = {"eps": 1e-5, "momentum": 0.1}

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Types of x, y and their gradients."""

ROW_NORMS = ("layer", "rms")
"""Normalize each row of ``(M, N)``."""

GROUP_NORMS = ("group", "instance")
"""Normalize each sample of ``(B, C, *)`` over groups of features and all positions."""

CHANNELS_LAST_RANKS = (4, 5)
"""Dimensions of shapes that torch can lay out with the channels last."""

TENSOR_OUTPUTS = ("y", "s", "dx")
"""Outputs in the shape and dtype of x; the others have one number a feature."""

PARAMETER_GRADIENTS = ("dweight", "dbias")
"""Outputs in the dtype of the parameters; running statistics are float32."""

KERNEL_NORMS = (*ROW_NORMS, *GROUP_NORMS, "batch")
"""Norms with a reference to be checked against; any other is timed unchecked."""


OPTIONS = ("residual", "zero_centered")
"""Fields of `Problem` that change what the norms of rows compute; a provider says which it has."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kernel call.

    Parameters
    ----------
    norm : str
        A name in `KERNEL_NORMS`, or any other norm, which then has no reference.
    direction : {"forward", "backward"}
    shape : tuple of int
        ``(M, N)`` for the row norms, ``(B, C, *)`` for the group norms, either for batch norm.
    dtype : {"float32", "bfloat16", "float16"}
        Of x, y and their gradients.
    training : bool
        Whether batch norm takes its statistics from the batch. The other norms know no difference.
    groups : int
        Groups of group norm, 1 at least.
    eps, momentum : float
    layout : {"contiguous", "channels_last"}
        Order of x, dy and their like in memory: as in ``shape``, or with the channels last (``NHWC``).
    zero_centered : bool
        Whether the scale is 1 + γ, as in Gemma, and weight decay draws it to 1. For the row norms. The
        gradients have the same formulas, with 1 + γ for γ.
    residual : bool
        Whether the norm is of s = x + r, rounded to the dtype as the residual stream of a transformer is
        stored, and s is returned beside y. The backward pass reads s, dy and the gradient ds that reaches s
        from elsewhere, and its dx is the gradient of both x and r. For the row norms.
    parameter_dtype : {"float32", "bfloat16", "float16"}
        Of γ, β and their gradients: float32, as in mixed-precision training (Micikevicius et al. 2018), or the
        dtype of x for those who take no other (`Provider.adapted`). All statistics are float32.
    """

    norm: str
    direction: Direction
    shape: tuple[int, ...]
    dtype: str = "float32"
    training: bool = True
    groups: int = 1
    eps: float = _DEFAULTS["eps"]
    momentum: float = _DEFAULTS["momentum"]
    layout: Layout = "contiguous"
    zero_centered: bool = False
    residual: bool = False
    parameter_dtype: str = "float32"

    def __post_init__(self) -> None:
        if len(self.shape) < 2:
            raise ValueError(f"shape {self.shape}: a norm takes (N, features) at least")
        if not all(isinstance(size, int) and size >= 0 for size in self.shape):
            raise ValueError(f"shape {self.shape!r}: take whole numbers from 0 up")
        if self.dtype not in DTYPE_BYTES:
            raise ValueError(f"dtype {self.dtype!r}: take one of {', '.join(DTYPE_BYTES)}")
        if self.layout not in get_args(Layout):
            raise ValueError(f"layout {self.layout!r}: take one of {', '.join(get_args(Layout))}")
        if self.norm in ROW_NORMS and len(self.shape) != 2:
            raise ValueError(f"shape {self.shape}: {self.norm} norm takes rows (M, N)")
        if self.direction not in get_args(Direction):
            raise ValueError(f"direction {self.direction!r}: take one of {', '.join(get_args(Direction))}")
        for name, value in (("eps", self.eps), ("momentum", self.momentum)):
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ValueError(f"{name}={value!r}: take a number from 0 up, such as {_DEFAULTS[name]:g}")
        if not isinstance(self.groups, int) or self.groups < 1:
            raise ValueError(f"{self.groups} groups: take 1 or more, that divide the {self.num_features} features")
        if self.norm == "group" and self.num_features % self.groups:
            raise ValueError(f"{self.groups} groups do not divide {self.num_features} features")
        if self.layout != "contiguous" and len(self.shape) not in CHANNELS_LAST_RANKS:
            raise ValueError(f"shape {self.shape} has no layout {self.layout!r}: it takes 4 or 5 dimensions")
        if self.parameter_dtype not in ("float32", self.dtype):
            raise ValueError(
                f"parameter dtype {self.parameter_dtype!r} beside x in {self.dtype}: take 'float32' or {self.dtype!r}"
            )
        for option in self.options:
            if self.norm not in ROW_NORMS:
                raise ValueError(
                    f"norm {self.norm!r} has no {option}: take one of {', '.join(ROW_NORMS)}, or leave it out"
                )

    @property
    def known(self) -> bool:
        """Whether there is a reference for this norm."""
        return self.norm in KERNEL_NORMS

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the `OPTIONS` that are on."""
        return tuple(option for option in OPTIONS if getattr(self, option))

    @property
    def weight_offset(self) -> float:
        """What is added to γ to make the scale."""
        return 1.0 if self.zero_centered else 0.0

    @property
    def elements(self) -> int:
        """Elements S of x."""
        return math.prod(self.shape)

    @property
    def tensor_bytes(self) -> int:
        """Bytes S·b of x."""
        return self.elements * DTYPE_BYTES[self.dtype]

    @property
    def num_features(self) -> int:
        """Size of γ."""
        return self.shape[1]

    @property
    def num_groups(self) -> int:
        """Groups per sample that share statistics, for the group norms."""
        return self.num_features if self.norm == "instance" else self.groups

    @property
    def reduction_sets(self) -> int:
        """How many means are taken: M rows, B·G groups, or C features."""
        if self.norm in ROW_NORMS:
            return self.shape[0]
        if self.norm in GROUP_NORMS:
            return self.shape[0] * self.num_groups
        return self.num_features

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a kernel returns, in order."""
        if self.direction == "forward":
            updates = ("running_mean", "running_var") if self.norm == "batch" and self.training else ()
            return ("y", *(("s",) if self.residual else ()), *updates)
        if self.norm == "batch" and not self.training:
            return ("dx",)
        return ("dx", "dweight") if self.norm == "rms" else ("dx", "dweight", "dbias")

    def dtype_of(self, output: str) -> str:
        """Dtype of an output: that of x, of the parameters, or, for running statistics, float32."""
        if output in TENSOR_OUTPUTS:
            return self.dtype
        return self.parameter_dtype if output in PARAMETER_GRADIENTS else "float32"


@dataclass(frozen=True, slots=True)
class View:
    """How to see x so that one formula serves every norm.

    Parameters
    ----------
    shape : tuple of int
        Shape that x is reshaped to.
    reduced : tuple of int
        Axes that a mean is taken over.
    parameters : tuple of int
        Shape of γ that broadcasts against ``shape``; its axes of size 1 are those that dγ sums over.
    """

    shape: tuple[int, ...]
    reduced: tuple[int, ...]
    parameters: tuple[int, ...]

    @property
    def summed(self) -> tuple[int, ...]:
        """Axes that dγ and dβ sum over."""
        return {2: (0,), 3: (0, 2), 4: (0, 3)}[len(self.shape)]


def view(problem: Problem) -> View:
    """See a problem as rows ``(M, N)``, channels ``(B, C, P)`` or groups ``(B, G, C/G, P)``."""
    if problem.norm in ROW_NORMS:
        return View(problem.shape, (1,), (1, problem.num_features))
    batch, features = problem.shape[:2]
    positions = math.prod(problem.shape[2:])
    if problem.norm in GROUP_NORMS:
        groups = problem.num_groups
        members = features // groups
        return View((batch, groups, members, positions), (2, 3), (1, groups, members, 1))
    return View((batch, features, positions), (0, 2), (1, features, 1))


def floor_bytes(problem: Problem) -> int:
    """Fewest bytes that the problem moves: each input read once, each output written once.

    With S elements of b bytes, w bytes a parameter (4 unless its dtype is that of x), C features and R reduction sets:

    ============  ==================  ======================
    norm          forward             backward
    ============  ==================  ======================
    layer         2Sb + 2Cw + 8R      3Sb + Cw + 8R + 2Cw
    rms           2Sb + Cw + 4R       3Sb + Cw + 4R + Cw
    group         2Sb + 2Cw + 8R      3Sb + Cw + 8R + 2Cw
    instance      2Sb + 2Cw + 8R      3Sb + Cw + 8R + 2Cw
    batch train   2Sb + 2Cw + 24C     3Sb + Cw + 8C + 2Cw
    batch eval    2Sb + 2Cw + 8C      2Sb + Cw + 8C (dx alone)
    another       2Sb                 3Sb
    residual      + 2Sb               + Sb
    ============  ==================  ======================

    8R is the mean and 1/σ kept for the backward pass, in float32 (RMS norm keeps 1/σ alone); batch
    norm in training also reads and writes its two running statistics. A scale of 1 + γ takes as many bytes as γ.
    A residual adds r and s to the forward pass, and ds to the backward pass.
    """
    forward = problem.direction == "forward"
    if not problem.known:
        return (2 if forward else 3) * problem.tensor_bytes
    one_parameter = problem.num_features * DTYPE_BYTES[problem.parameter_dtype]
    parameters = 1 if problem.norm == "rms" else 2
    statistics = (4 if problem.norm == "rms" else 8) * problem.reduction_sets
    training_batch = problem.norm == "batch" and problem.training
    tensors = (2 if forward else 3) + (0 if not problem.residual else 2 if forward else 1)
    if forward:
        running = 16 * problem.num_features if training_batch else 0
        return tensors * problem.tensor_bytes + parameters * one_parameter + statistics + running
    if problem.norm == "batch" and not training_batch:
        return 2 * problem.tensor_bytes + one_parameter + statistics
    return tensors * problem.tensor_bytes + one_parameter + statistics + parameters * one_parameter


def kept_floor_bytes(problem: Problem) -> int:
    """Fewest bytes that a forward pass keeps for the backward pass that `floor_bytes` counts, parameters left out.

    That is what the backward pass reads besides gradients and γ: Sb of x, or of s in its place, and the mean
    and 1/σ of each reduction set, 8R in float32 (4R for RMS norm). Batch norm in evaluation keeps nothing: its
    dx is γ·dy/σ, and σ a buffer.
    Whoever rounds the statistics to x's type keeps a little less, and whoever takes them again, none.
    """
    if problem.norm == "batch" and not problem.training:
        return 0
    if not problem.known:
        return problem.tensor_bytes
    return problem.tensor_bytes + (4 if problem.norm == "rms" else 8) * problem.reduction_sets


def roof_bytes(problem: Problem, on_chip_bytes: int) -> int:
    """Bytes under the roof that applies to the shape: ideal, or streaming.

    Statistics are needed before the first output can be written. A reduction set that the cores or
    blocks which cooperate on it cannot hold must therefore be read twice: 3Sb instead of 2Sb forward,
    and 5Sb instead of 3Sb backward, where x and dy are both read again. This concerns the norms that
    average over positions; rows are taken to fit.

    Parameters
    ----------
    problem : Problem
    on_chip_bytes : int
        What can be held next to the arithmetic: registers and shared memory of a GPU's cooperating
        blocks, the private cache of a CPU core. A cache shared by the whole chip does not count.
    """
    averaged = problem.norm in GROUP_NORMS or (problem.norm == "batch" and problem.training)
    tensors_read = 1 if problem.direction == "forward" else 2
    held = tensors_read * problem.tensor_bytes // max(1, problem.reduction_sets)
    again = tensors_read * problem.tensor_bytes if averaged and held > on_chip_bytes else 0
    return floor_bytes(problem) + again


def parse_shape(text: str) -> tuple[int, ...]:
    """Read a shape such as ``4096x1024`` or ``32x64x28x28``.

    Raises
    ------
    UsageError
        If it is not two or more positive integers joined by ``x``.
    """
    sizes = text.lower().split("x")
    if len(sizes) < 2 or not all(size.isascii() and size.isdigit() and int(size) > 0 for size in sizes):
        raise UsageError(f"shape {text!r} is not sizes joined by x; for example 4096x1024 or 32x64x28x28")
    return tuple(int(size) for size in sizes)
