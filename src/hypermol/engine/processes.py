"""Several processes under torchrun: sums of totals, shared rows. With one process everything is a no-op."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

SMALL = 1 << 16  # numbers; larger tensors are sent alone, without a copy


@dataclasses.dataclass(frozen=True)
class Processes:
    """This process's rank among ``world``."""

    rank: int = 0
    world: int = 1

    @classmethod
    def join(cls, device: torch.device | None = None) -> Processes:
        """Join the group that torchrun describes in the environment; alone where there is none.

        ``device``: where the totals will be (by default a GPU where there is one); it decides between nccl and gloo.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        if not dist.is_initialized():
            cuda = torch.cuda.is_available() if device is None else device.type == "cuda"
            if cuda:
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            dist.init_process_group("nccl" if cuda else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    def leave(self) -> None:
        """Leave the group at the end of the job; as a context manager, at the end of a block that did not fail."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *failure: object) -> None:
        if kind is None:  # else others may wait in the group: torchrun ends them when this process ends
            self.leave()

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, count: int) -> tuple[int, int]:
        """[start, stop) of this process's contiguous share of ``count`` things."""
        size, extra = divmod(count, self.world)
        start = self.rank * size + min(self.rank, extra)
        return start, start + size + (self.rank < extra)

    def sum_all(self, tensors: dict[str, Tensor]) -> None:
        """Sum each tensor over processes, in place: small ones of a type go together, as one message.

        Every process must have the same names and shapes.
        """
        if self.world == 1:
            return
        for together in self._messages(tensors):
            if len(together) == 1:
                dist.all_reduce(together[0])
                continue
            message = torch.cat([tensor.flatten() for tensor in together])
            dist.all_reduce(message)
            for tensor, part in zip(together, message.split([tensor.numel() for tensor in together])):
                tensor.copy_(part.view_as(tensor))

    def _messages(self, tensors: dict[str, Tensor]) -> list[list[Tensor]]:
        real = [torch.view_as_real(t) if t.is_complex() else t for _, t in sorted(tensors.items())]
        small: dict[torch.dtype, list[Tensor]] = {}
        for tensor in real:
            if tensor.numel() <= SMALL:
                small.setdefault(tensor.dtype, []).append(tensor)
        return [[tensor] for tensor in real if tensor.numel() > SMALL] + list(small.values())

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is true in any process."""
        if self.world == 1:
            return flags
        where = "cuda" if dist.get_backend() == "nccl" else "cpu"
        counts = torch.tensor(flags, dtype=torch.int32, device=where)
        dist.all_reduce(counts)
        return tuple(count > 0 for count in counts.tolist())

    def all(self, flag: bool) -> bool:
        """True where it is true in every process."""
        return not self.any(not flag)[0]

    def gather_rows(self, rows: dict[str, Tensor], total: int) -> dict[str, Tensor]:
        """Rows of the whole global batch, each [total, ...], from each process's share."""
        if self.world == 1:
            return rows
        start, stop = self.share(total)
        every = {}
        for name, share in rows.items():
            kind = torch.uint8 if share.dtype is torch.bool else share.dtype
            every[name] = torch.zeros(total, *share.shape[1:], dtype=kind, device=share.device)
            every[name][start:stop] = share
        self.sum_all(every)
        return {name: whole.to(rows[name].dtype) for name, whole in every.items()}

    def complete(self, tensors: dict[str, Tensor], device: torch.device, empty: bool = False) -> None:
        """Put zeros (or, if ``empty``, no rows) under each name that only other processes have.

        Needed where a batch has fewer particles than there are processes.
        """
        every: list[dict[str, Any]] = [{} for _ in range(self.world)]
        dist.all_gather_object(every, {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()})
        for known in every:
            for name, (shape, dtype) in known.items():
                size = (0, *shape[1:]) if empty else shape
                tensors.setdefault(name, torch.zeros(size, dtype=dtype, device=device))

    def barrier(self) -> None:
        """Wait for every process."""
        if self.world > 1:
            dist.barrier()
