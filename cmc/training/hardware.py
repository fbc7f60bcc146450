"""What a run computes in and on: its precision and its threads, picked by the hardware and by the size of its steps."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from omegaconf import DictConfig

from cmc.data.module import DataModule
from cmc.functional.threads import limited
from cmc.methods.base import Method
from cmc.nn.precision import resolve
from cmc.nn.work import Product, products, typical_size
from cmc.training.launcher import n_devices
from cmc.utils.cores import allowed, available

log = logging.getLogger(__name__)

A_THREAD = 2**25  # multiply-adds of a product that are worth a thread: about a millisecond of a core in float32


def pick(config: DictConfig, method: Method, data: DataModule) -> None:
    """Put what ``auto`` stands for into ``trainer.precision`` and ``trainer.threads``, and log what it is, and why.

    Args:
        config: of a run that begins or goes on; what was picked when it began is kept.
        method: that is trained.
        data: that it is trained on.
    """
    step = work(method, data, n_devices(config) * config.trainer.get("num_nodes", 1))
    trainer, device = config.trainer, _device(config.trainer)
    if trainer.precision == "auto":
        trainer.precision, why = resolve(trainer.precision, device, method.is_trained, step)
        log.info("precision: %s; %s", trainer.precision, why)
    if trainer.threads in (None, "auto"):
        trainer.threads, why = resolve_threads(step, allowed())
        log.info("threads: %d; %s", trainer.threads, why)
    elif trainer.threads > (there := available()):
        log.warning("threads: %d, as when the run began, though only %d cores are here", trainer.threads, there)


def work(method: Method, data: DataModule, processes: int) -> list[Product]:
    """The matrix products of a step of the longest phase, as one of some processes takes it.

    Of a method that is not trained by gradients: the distances of all samples from K centres.
    """
    if not method.is_trained:
        return [Product(data.n_samples, sum(data.dims.values()), method.n_clusters)]
    phase = max(method.schedule.phases, key=lambda phase: phase.epochs)
    rows = min(size for size in (phase.batch_size, phase.chunk_size, data.n_samples) if size is not None)
    return products(method.parameters(), max(1, rows // processes))


def resolve_threads(step: Sequence[Product], most: int) -> tuple[int, str]:
    """How many threads a step is worth, and why; docs/speed.md has the measurements.

    Args:
        step: its products.
        most: threads.
    """
    size = typical_size(step)
    threads = max(1, min(most, int(size // A_THREAD)))
    return threads, f"a product of the step has {size / 1e6:.0f} million multiply-adds, and at most {most} are allowed"


@contextmanager
def computing_on(threads: int) -> Iterator[None]:
    """Within it torch, and other libraries of this process, compute on so many threads."""
    before = torch.get_num_threads()
    with limited(threads):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _device(settings: DictConfig) -> torch.device:
    """What the Trainer will train on, as far as its precision depends on it."""
    cpu = settings.accelerator == "cpu" or not torch.accelerator.is_available()
    return torch.device("cpu" if cpu else str(torch.accelerator.current_accelerator()))
