"""What a kernel provider is: one small file that says what it can do and returns a closure that does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import UsageError
from ics_bench.kernels import PROVIDERS
from ics_bench.kernels.spec import DTYPE_BYTES, KERNEL_NORMS, Problem

if TYPE_CHECKING:
    import torch

Kernel = Callable[[], "tuple[torch.Tensor, ...]"]
"""Does the work once and returns the tensors named in ``Problem.outputs``, in that order."""


@dataclass(frozen=True, slots=True)
class Chains:
    """Longest chains of float32 additions in a kernel's reductions; the error bounds grow with them.

    A serial sum of n terms has n, a pairwise one ⌈log₂ n⌉, w serial lanes joined one by one n/w + w.
    Count three for each step of Welford's or Chan's update, which rounds three times.

    Parameters
    ----------
    moments : int
        In the mean and the variance.
    sums : int
        In the two sums over a reduction set that dx needs.
    parameters : int
        In dγ and dβ.
    rounds_first : bool
        Whether dx of the norm is rounded to the dtype before the residual stream's gradient is added to it.
    """

    moments: int
    sums: int
    parameters: int
    rounds_first: bool = False

    def at_most(self, other: Chains) -> Chains:
        """Cut each chain to the other's length: no declaration, however long, buys more than `any_order` allows."""
        return replace(
            self,
            moments=min(self.moments, other.moments),
            sums=min(self.sums, other.sums),
            parameters=min(self.parameters, other.parameters),
        )

    def covering(self, other: Chains) -> Chains:
        """Return the longer of each two chains, for a kernel that may be either's."""
        return Chains(
            max(self.moments, other.moments),
            max(self.sums, other.sums),
            max(self.parameters, other.parameters),
            self.rounds_first or other.rounds_first,
        )


@dataclass(slots=True)
class Tensors:
    """Inputs of one call, on the device.

    x, dy and, where the problem has a residual, r and ds are in its dtype and layout; γ and β are in its parameters'
    dtype, and the running statistics in float32.
    """

    x: torch.Tensor
    dy: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor
    residual: torch.Tensor | None = None
    ds: torch.Tensor | None = None

    def named(self) -> dict[str, torch.Tensor]:
        """Return every tensor that there is, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def required_residual(self) -> torch.Tensor:
        """Return r, for a problem that has a residual.

        Raises
        ------
        UsageError
            If there is none.
        """
        if self.residual is None:
            raise UsageError("the problem has a residual and its tensors have none; `inputs.draw` makes it")
        return self.residual

    def clone(self, shared: Collection[str] = ()) -> Tensors:
        """Copy every tensor but those that are ``shared``, by name."""
        return Tensors(**{name: t if name in shared else t.clone() for name, t in self.named().items()})


@dataclass(frozen=True, slots=True)
class Recorder:
    """A forward pass as a training step does it.

    Parameters
    ----------
    forward : callable
        Does it once, recorded by autograd, and returns whatever holds the graph.
    parameters : tuple of Tensor
        What exists whether or not there is a backward pass: parameters and running statistics.
    """

    forward: Callable[[], object]
    parameters: tuple[torch.Tensor, ...]


def any_order(problem: Problem) -> Chains:
    """Bound the chains of a kernel whose sums are not known: no order of n additions, or Welford updates, exceeds n.

    Nor is it known whether it adds the residual stream's gradient to a rounded tensor.
    """
    per_set = problem.elements // max(1, problem.reduction_sets)
    return Chains(3 * per_set, per_set, problem.elements // problem.num_features, problem.residual)


PROMISES = ("any_address", "no_samples")
"""That tensors may begin at any multiple of their elements' size; that there may be no samples in them."""


class Provider(ABC):
    """Kernels from one source.

    A subclass declares what it offers and implements `prepare` and `chains`. Listing providers imports
    them, so a provider's file imports its library inside its methods only.

    Attributes
    ----------
    summary : str
        One line.
    norms, directions, dtypes, layouts, devices : frozenset of str
        What it offers.
    options : frozenset of str
        Which of the problem's `OPTIONS` it has.
    narrow : frozenset of str
        Norms whose γ and β it takes, on a GPU, in the dtype of x alone; dγ and dβ have it then. See `adapted`.
    capturable : bool
        Whether a kernel may be captured in a CUDA graph: it allocates, if at all, from torch's memory alone,
        and waits for nothing. Otherwise each launch is timed by events, launch overhead included.
    promises : frozenset of str
        Of `PROMISES`, what it is to be held to: the check sees to these, too.
    """

    summary: ClassVar[str]
    norms: ClassVar[frozenset[str]] = frozenset(KERNEL_NORMS)
    directions: ClassVar[frozenset[str]] = frozenset({"forward", "backward"})
    dtypes: ClassVar[frozenset[str]] = frozenset(DTYPE_BYTES)
    layouts: ClassVar[frozenset[str]] = frozenset({"contiguous", "channels_last"})
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    options: ClassVar[frozenset[str]] = frozenset()
    narrow: ClassVar[frozenset[str]] = frozenset()
    capturable: ClassVar[bool] = True
    promises: ClassVar[frozenset[str]] = frozenset()

    @property
    def trains(self) -> bool:
        """Whether it offers `recorder`."""
        return type(self).recorder is not Provider.recorder

    def takes(self, norm: str) -> bool:
        """Whether the provider has this norm at all; where it has not, there is no case to skip."""
        return norm in self.norms

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Why this problem cannot run here, or ``None``. Override to add limits, and call this first."""
        for thing, value, offered in (
            ("norm", problem.norm, None if self.takes(problem.norm) else self.norms),
            ("direction", problem.direction, self.directions),
            ("dtype", problem.dtype, self.dtypes),
            ("layout", problem.layout, self.layouts),
            ("device", device, self.devices),
        ):
            if offered is not None and value not in offered:
                return f"{type(self).__name__} has no {thing} {value!r}; it has {', '.join(sorted(offered))}"
        for option in problem.options:
            if option not in self.options:
                return f"{type(self).__name__} has no option {option!r} of {problem.norm} norm"
        if problem.norm == "batch" and problem.training and problem.elements < 2 * problem.num_features:
            return f"shape {problem.shape}: batch norm in training takes more than one number a feature"
        if device == "cuda":
            import torch

            if not torch.cuda.is_available():
                return "torch sees no CUDA device"
        return None

    def adapted(self, problem: Problem, device: str) -> Problem:
        """Return the problem as this provider has it: with parameters in the dtype of x where it takes no others.

        Inputs and oracle are of this problem; its parameters are the other's, rounded before the clock runs.
        """
        narrow = problem.norm in self.narrow and device != "cpu"
        return replace(problem, parameter_dtype=problem.dtype) if narrow else problem

    @abstractmethod
    def chains(self, problem: Problem, device: str) -> Chains:
        """Longest chains of additions in the kernel for this problem."""

    @abstractmethod
    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        """Allocate what can be allocated beforehand and return the closure to be timed.

        What the closure returns is kept until the same tensors come round again, so outputs that the
        library allocates itself land in memory that is as cold as a preallocated buffer.
        """

    def recorder(self, problem: Problem, tensors: Tensors) -> Recorder | None:
        """Return the forward pass that autograd records, for counting what it keeps, or ``None`` without autograd."""
        del problem, tensors
        return None


def recording(problem: Problem, tensors: Tensors, forward: Callable[..., object]) -> Recorder:
    """Record a function of x, weight and bias, each of which gets a gradient where the problem has one."""
    inputs = (tensors.x, tensors.weight, tensors.bias)
    wanted = len(replace(problem, direction="backward").outputs)
    x, weight, bias = (tensor.detach().requires_grad_(place < wanted) for place, tensor in enumerate(inputs))
    return Recorder(lambda: forward(x, weight, bias), (weight, bias, tensors.running_mean, tensors.running_var))


def load_provider(name: str) -> Provider:
    """Find a provider by name, entry point or ``module:attribute``.

    Raises
    ------
    UsageError
        If it is unknown, cannot be imported, or is no `Provider`.
    """
    found = PROVIDERS.load(name)
    if isinstance(found, type) and issubclass(found, Provider):
        try:
            found = found()
        except Exception as error:
            raise UsageError(f"kernel provider {name!r}: creating it raised {error!r}") from error
    if not isinstance(found, Provider):
        raise UsageError(f"kernel provider {name!r} is {found!r}; expected an ics_bench.kernels.provider.Provider")
    return found
