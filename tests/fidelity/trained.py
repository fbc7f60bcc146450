"""A training run, step by step: what it was given, what it made of it, and what a loop written apart makes of the same.

All in float64, where both agree to 1e-9 for as long as one likes; float32 runs drift apart by themselves.
"""

import numpy as np
import torch
from pytorch_lightning import Callback

from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from tests.methods.toy import fit


class Blobs(DataModule):
    """Three clusters in modalities of given widths, in double precision; of 60 % of the samples a part is missing."""

    def __init__(self, dims, n, gaps=False):
        super().__init__(seed=1, scaling="none", missing=0.6 if gaps else 0.0)
        self._dims, self._n = dims, n

    def read(self):
        rng, labels = np.random.default_rng(0), np.arange(self._n) % 3
        centres = {f"m{i}": 20 * rng.normal(size=(3, d)) for i, d in enumerate(self._dims)}
        features = {name: x[labels] + 10 * rng.normal(size=(self._n, x.shape[1])) for name, x in centres.items()}
        return Modalities(features, labels, source="blobs")

    def load(self):
        super().load()
        self.samples.tensors = tuple(x.double() for x in self.samples.tensors)


class Step(Callback):
    """Writes down every step: phase, rows, random numbers' state before it, terms, and what it left."""

    def __init__(self):
        self.steps, self._before = [], None

    def on_train_batch_start(self, trainer, module, batch, *rest):
        self._before = torch.get_rng_state()

    def on_train_batch_end(self, trainer, module, outputs, batch, *rest):
        index = getattr(batch, "index", None)
        self.steps.append(
            {
                "phase": module.phase.name,
                "epoch": module.schedule.at(module.current_epoch)[1],
                "index": torch.arange(batch.size) if index is None else index.clone(),
                "random": self._before,
                "loss": module._means.means(),
                "gradients": {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None},
                "state": {name: x.clone() for name, x in module.state_dict().items()},
            }
        )


def trained(method, data, folder):
    """The state before, all rows, and the steps; one batch an epoch has its terms by itself."""
    method.double()
    state = {name: x.clone() for name, x in method.state_dict().items()}
    record = Step()
    fit(method, data, folder, [record])
    return state, data.samples.tensors, record.steps


def presence(data):
    """N x M, whether a sample has a modality."""
    there = data.samples.present
    return torch.ones(data.n_samples, len(data.dims), dtype=torch.bool) if there is None else there


def leaves(method, state):
    """The parameters of a state as leaves of a graph of their own."""
    return {name: state[name].clone().requires_grad_() for name, _ in method.named_parameters()}


class Adam:
    """Kingma and Ba, algorithm 1; its epsilon is such that a gradient of 0, but for rounding, moves nothing."""

    EPS = 1e-4

    def __init__(self, rate=1e-3):
        self.rate, self.moments, self.t = rate, {}, {}

    def step(self, parameters, gradients):
        for name, gradient in gradients.items():
            first, second = self.moments.get(name, (0.0, 0.0))
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            self.moments[name], self.t[name] = (first, second), self.t.get(name, 0) + 1
            unbiased = first / (1 - 0.9 ** self.t[name]), second / (1 - 0.999 ** self.t[name])
            parameters[name].data -= self.rate * unbiased[0] / (unbiased[1].sqrt() + self.EPS)


def gradients_of(loss, parameters):
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {name: g for name, g in zip(parameters, found, strict=True) if g is not None}


def assert_alike(step, terms, gradients, parameters):
    """A step of ours has the terms, the gradients and the parameters of the loop's."""
    for name, value in terms.items():
        np.testing.assert_allclose(step["loss"][name], value.item(), rtol=1e-9, atol=1e-12, err_msg=name)
    for name, gradient in gradients.items():
        ours = step["gradients"][name]
        torch.testing.assert_close(ours, gradient, rtol=1e-7, atol=1e-11, msg=f"{step['epoch']}: gradient of {name}")
    for name, value in parameters.items():
        torch.testing.assert_close(step["state"][name], value.detach(), rtol=1e-9, atol=1e-11, msg=name)
