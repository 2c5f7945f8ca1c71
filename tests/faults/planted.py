"""Faulty stand-ins for batch norm, alone and lifted, and for what guards probes, data and correlations."""

import dataclasses
import math
from contextlib import contextmanager

import torch
from torch.nn.functional import one_hot

from ics_bench.training import lifted


def batch_norm(forward_factor=None, running_factor=None, eps=1e-5, stale=False, detached=False):
    """Batch norm's forward from its definition, with faults; factors are functions of the samples' number."""

    def forward(self, x):
        dims, shape = (0, *range(2, x.dim())), (1, -1, *[1] * (x.dim() - 2))
        mean, variance = self.running_mean, self.running_var
        if self.training:
            count = x.numel() // x.shape[1]
            mean, variance = x.mean(dims), x.var(dims, unbiased=False)
            if detached:
                mean, variance = mean.detach(), variance.detach()
            unbiased = variance.detach() * (running_factor or unbias)(count)
            if not stale:
                keep = 1.0 - self.momentum
                self.running_mean = keep * self.running_mean + self.momentum * mean.detach()
                self.running_var = keep * self.running_var + self.momentum * unbiased
            variance = variance * (forward_factor or one)(count)
        scale = self.weight * (variance + eps).rsqrt()
        return (x - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)

    return forward


def one(count):
    return 1.0


def unbias(count):
    return count / (count - 1)


FAULTLESS = lifted._BatchNormalize.forward


class Unbiased(torch.autograd.Function):
    """The lifted batch norm, divided by the unbiased deviation."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        return FAULTLESS(ctx, x, weight * math.sqrt((x.shape[1] - 1) / x.shape[1]), bias, eps)

    backward = staticmethod(lifted._BatchNormalize.backward)


FAULTLESS_LAYER = lifted.LiftedBatchNorm.forward


def biased_lifted(self, input):
    """The lifted batch norm, whose running variance takes the biased one."""
    before, momentum = self.running_var.clone(), self.momentum
    y = FAULTLESS_LAYER(self, input)
    if self.training:
        batch = input.shape[1]
        unbiased = (self.running_var - before * (1 - momentum)) / momentum
        self.running_var.copy_(before.lerp(unbiased * (batch - 1) / batch, momentum))
    return y


def forgetful(forgotten):
    """`preserved` that puts everything back but one thing."""

    @contextmanager
    def preserved(model, seed=None):
        modules = list(model.modules())
        modes = [module.training for module in modules]
        buffers = [{name: (b, b.clone()) for name, b in module._buffers.items()} for module in modules]
        numbers = torch.get_rng_state()
        if seed is not None:
            torch.manual_seed(seed)
        try:
            yield
        finally:
            for module, mode, kept in zip(modules, modes, buffers, strict=True):
                if forgotten != "modes":
                    module.training = mode
                for name, (buffer, value) in kept.items() if forgotten != "buffers" else ():
                    module._buffers[name] = buffer.copy_(value)
            if forgotten != "numbers":
                torch.set_rng_state(numbers)

    return preserved


def labels_among_inputs(data):
    pairs = ((data.x, data.y), (data.x_test, data.y_test))
    x, x_test = (torch.cat([5.0 * one_hot(y).to(x), x[:, 10:]], 1) for x, y in pairs)
    return dataclasses.replace(data, x=x, x_test=x_test)


def overlapping_parts(data):
    """Test samples stand in for as many training samples."""
    size = len(data.x_test)
    x, y = torch.cat([data.x_test, data.x[size:]]), torch.cat([data.y_test, data.y[size:]])
    return dataclasses.replace(data, x=x, y=y)


def labels_shifted(data):
    """Every sample has its neighbour's label."""
    return dataclasses.replace(data, y=data.y.roll(1))
