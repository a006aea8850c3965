"""What a tracer does with torch: real tensors, and one memory for each storage."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from symgrad.lifting.tracing.aten import double, dtype_of, is_float
from symgrad.lifting.tracing.looked_values import Looks, joined
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.lifting.tracing.torch_modes import Dispatch, Functions, floats, quiet
from symgrad.lifting.tracing.traced_values import Memory, TracedArray, TracedFloat
from symgrad.program.program import Strided
from symgrad.program.written_choices import JOINED, holds


class Tensors:
    """What a tracer does with torch."""

    def __init__(self, tracer: Recorder) -> None:
        self.tracer = tracer
        self.dispatch = Dispatch(tracer)
        self.functions = Functions(tracer)
        self.cut = False  # inside no_grad
        self.calling: Any = None  # the function of torch that the user called
        self._memories: dict[int, Memory] = {}
        # tensors and storages are held, or an address could come twice
        self._known: dict[int, tuple[torch.Tensor, int, Memory | None, int]] = {}
        self._kept: list[Any] = []
        # tensors that were made of looks at values, with these; and whether they are a truth that was told already
        self._looked: dict[int, tuple[torch.Tensor, Looks, bool]] = {}
        self._lengths: dict[int, tuple[torch.Tensor, Looks]] = {}  # tensors as long as a mask has truths

    @contextlib.contextmanager
    def modes(self) -> Iterator[None]:
        with self.functions, self.dispatch:
            yield

    def release(self) -> None:
        """Let go of the tensors of a run that is over: tracer and tensors are a cycle, which would keep them long."""
        for held in (self._known, self._memories, self._kept, self._looked, self._lengths):
            held.clear()

    # ------------------------------------------------------------------------------------ values and steps
    def value(self, x: torch.Tensor) -> np.ndarray:
        with quiet():
            x = x.detach().resolve_conj().resolve_neg()
            return (x.float() if x.dtype is torch.bfloat16 else x).cpu().numpy()

    def _memory(self, x: torch.Tensor) -> Memory | None:
        return self._memories.get(x.untyped_storage()._cdata) if x.numel() else None

    def is_known(self, x: torch.Tensor) -> bool:
        record = self._known.get(id(x))
        if record is not None and record[0] is x:
            return True
        if not self._memories:
            return False
        with quiet():
            return self._memory(x) is not None

    def looks_of(self, x: torch.Tensor) -> Looks:
        """The looks that a tensor of whole numbers or truths was made of."""
        record = self._looked.get(id(x)) if self._looked else None
        return record[1] if record is not None and record[0] is x else ()

    def is_told(self, x: torch.Tensor) -> bool:
        """Whether a tensor is one truth, and the look that gave it has told it."""
        return self._looked[id(x)][2]

    def remember(self, x: torch.Tensor, looks: Looks, *, told: bool = False) -> None:
        """``x`` was made of looks at values."""
        if looks:
            self._looked[id(x)] = (x, joined([self.looks_of(x), looks]), told)

    def length_of(self, x: Any) -> Looks:
        """The looks that a tensor's length was made of; none where it follows from shapes."""
        record = self._lengths.get(id(x)) if self._lengths else None
        return record[1] if record is not None and record[0] is x else ()

    @property
    def has_lengths(self) -> bool:
        """Whether any tensor's length was made of looks."""
        return bool(self._lengths)

    def lengthened(self, x: torch.Tensor, looks: Looks) -> None:
        """``x`` has as many rows as ``looks`` at values had outcomes of one kind."""
        if looks:
            self._lengths[id(x)] = (x, looks)

    def any_known(self, items: Any) -> bool:
        """Whether a float tensor among nested arguments carries a step."""
        for x in items:
            if isinstance(x, torch.Tensor):
                if (is_float(x) or x.dtype is torch.bool) and self.is_known(x):
                    return True
            elif isinstance(x, (list, tuple)) and self.any_known(x):
                return True
        return False

    def holds_numbers(self, items: Any) -> bool:
        """Whether nested arguments hold traced floats or arrays."""
        return any(
            type(x) in (TracedFloat, TracedArray) or (isinstance(x, (list, tuple)) and self.holds_numbers(x))
            for x in items
        )

    def step(self, x: torch.Tensor) -> int:
        record = self._known.get(id(x))
        if record is not None and record[0] is x and (record[2] is None or record[2].version == record[3]):
            return record[1]
        with quiet():
            memory = self._memory(x)
            if memory is None:
                step = self.tracer.data(self.value(x), dtype_of(x) if is_float(x) else None)
                self.tracer.remember(step, self.looks_of(x))
                return step
            b = self.tracer.builder
            step = memory.read(b, _index(x), tuple(x.shape))
            step = b.conj(step) if x.is_conj() else step
            step = b.neg(step) if x.is_neg() else step
            self._known[id(x)] = (x, step, memory, memory.version)
            return step

    def elsewhere(self, x: torch.Tensor, index: Strided, shape: tuple[int, ...]) -> int:
        """The step for other entries of the memory in which ``x`` lies."""
        step, memory = self.step(x), self._memory(x)
        if memory is None or x.is_conj() or x.is_neg():  # a constant, row by row
            return self.tracer.builder.pick([step], index, shape)
        return memory.read(self.tracer.builder, index, shape)

    def known_step(self, x: torch.Tensor) -> int | None:
        """The step of a tensor that was followed until now; None where it takes more to say.  Asks nothing of torch."""
        record = self._known.get(id(x))
        if record is None or record[0] is not x or record[2] is None or record[2].version != record[3] or self._lengths:
            return None
        return record[1]

    def truth(self, x: torch.Tensor, word: str, args: Any, dtype: str | None) -> torch.Tensor:
        """``x``, the truths that a comparison of ``args`` gave, or that were made of such, as a step that is one or
        zero."""
        t = self.tracer
        steps = [t.step_of(a, dtype) for a in args]
        made = JOINED[word] if word in JOINED else functools.partial(holds, op=word, values=[double(a) for a in args])
        self._known[id(x)] = (x, made(t.builder, *steps), None, 0)
        return x

    def put(self, x: torch.Tensor, step: int) -> None:
        """``x`` holds the value of ``step``; memory that is known already stays what it is."""
        with quiet():
            self.enter(x, step)

    def enter(self, x: torch.Tensor, step: int) -> None:
        """`put`, where torch's modes are off already."""
        b = self.tracer.builder
        dtype, shape = dtype_of(x), tuple(x.shape)
        if b.dtype(step) != dtype:
            step = b.cast(step, dtype)
        if b.shape(step) != shape:
            step = b.reshape(step, shape)
        memory = None
        if x.numel():
            storage = x.untyped_storage()
            place = storage._cdata
            memory = self._memories.get(place)
            if memory is None and not x.is_conj() and not x.is_neg():
                memory = self._memories[place] = Memory(storage.nbytes() // x.element_size(), step, _index(x))
                self._kept.append(storage)
        self._known[id(x)] = (x, step, memory, memory.version if memory else 0)

    def made_anew(self, x: torch.Tensor, step: int, shape: tuple[int, ...]) -> None:
        """`enter`, of what a kernel has just made: its memory is its own, and of the dtype and shape of ``step``."""
        storage = x.untyped_storage()
        memory = None
        if not shape:
            memory = Memory(1, step, _SCALAR)
        elif x.numel():
            memory = Memory(storage.nbytes() // x.element_size(), step, _index(x))
        if memory is not None:
            self._memories[storage._cdata] = memory
            self._kept.append(storage)
        self._known[id(x)] = (x, step, memory, 0)

    def forget(self, x: torch.Tensor) -> None:
        """``x`` is another view of its memory, or of another memory, from now on."""
        record = self._known.pop(id(x), None)
        self._kept.append(record)

    def write(self, x: torch.Tensor, step: int, before: np.ndarray) -> None:
        """An in-place operation gave ``x`` the value of ``step``; ``before`` is what its whole storage held."""
        b = self.tracer.builder
        with quiet():
            storage = x.untyped_storage()
            if storage._cdata not in self._memories:
                self._memories[storage._cdata] = Memory.holding(b, self.tracer.data(before, dtype_of(x)))
                self._kept += [storage, x]
            index = _index(x)
            self._memories[storage._cdata].write(b, index, tuple(x.shape), step)

    def storage(self, x: torch.Tensor) -> np.ndarray:
        """All entries of the storage that ``x`` is a view of."""
        with quiet():
            total = x.untyped_storage().nbytes() // x.element_size()
            return self.value(torch.as_strided(x.detach(), (total,), (1,), 0)).copy()

    # ------------------------------------------------------------------------------------ from and to other values
    def bound(self, x: torch.Tensor, name: str) -> torch.Tensor:
        with quiet():
            if not is_float(x) or (type(x) is not torch.Tensor and isinstance(x, torch.nn.Parameter)):
                return x
            found = self.known_step(x)
            step = self.tracer.at_line().name(self.step(x) if found is None else found, name)
            if found is None and not self.is_known(x):
                self.write(x, self.tracer.data(self.value(x), dtype_of(x)), self.storage(x))
            alias = x.view_as(x)
            if self.tracer.differentiates and x.is_leaf and x.requires_grad:
                alias.retain_grad()  # as the leaf does that it stands for
            memory = self._memory(x) if found is None else self._known[id(x)][2]
            if memory is not None and not x.is_conj() and not x.is_neg():
                memory.call(self.tracer.builder, _index(x), tuple(x.shape), step)
            if found is None:
                self.enter(alias, step)
            else:
                self._known[id(alias)] = (alias, step, memory, self._known[id(x)][3])
            return alias

    def tensor(self, x: Any, like: torch.Tensor | None = None) -> Any:
        """A traced float or array as a tensor of the same value; a float takes the dtype of the tensor it meets."""
        if type(x) is TracedFloat:
            dtype = like.dtype if like is not None and is_float(like) else torch.get_default_dtype()
            with quiet():
                out = torch.tensor(x.value, dtype=dtype)
            self.put(out, self.tracer.builder.cast(self.tracer.step_of(x), dtype_of(out)))
            return out
        if type(x) is TracedArray:
            with quiet():
                out = torch.from_numpy(np.array(x.value))
            self.put(out, self.tracer.arrays.step(x))
            return out
        if isinstance(x, (list, tuple)):
            return type(x)(self.tensor(i, like) for i in x)
        return x

    def made(self, x: Any, dtype: Any) -> torch.Tensor:
        """``torch.tensor(x)`` of anything traced."""
        if isinstance(x, (list, tuple)):
            parts = [self.made(i, None) for i in x]
            wanted = functools.reduce(torch.promote_types, (p.dtype for p in parts))
            single = any(isinstance(i, torch.Tensor) for i in x)
            out = torch.stack([(p.reshape(()) if single and p.numel() == 1 else p).to(wanted) for p in parts])
        elif isinstance(x, torch.Tensor):
            out = x.detach().clone()
        elif self.tracer.is_traced(x):
            out = self.tensor(x)
        else:
            out = torch.tensor(x)
        return out if dtype is None else out.to(dtype)

    def from_torch(self, x: torch.Tensor) -> Any:
        """``x.numpy()``: an array that shares the tensor's memory, where a write into one is seen in the other."""
        step = self.step(x)
        with quiet():
            memory = self._memory(x)
            if memory is None or x.is_conj() or x.is_neg() or x.dtype is torch.bfloat16:
                return self.tracer.arrays.new(self.value(x).copy(), step)
            return TracedArray(self.tracer, x.detach().numpy(), memory, _index(x), step)

    def from_array(self, x: TracedArray) -> torch.Tensor:
        """``torch.from_numpy(x)``, which shares the array's memory; of a part of a larger array it is a copy."""
        step = self.tracer.arrays.step(x)
        shares = isinstance(x.index, Strided) and not x.index.offset and x.value.size
        if not shares or min(x.value.strides, default=0) < 0:
            return self.tensor(x)
        with quiet():
            out = torch.from_numpy(x.value)
            storage = out.untyped_storage()
            self._memories[storage._cdata] = x.memory
            self._kept += [storage, x]
            self._known[id(out)] = (out, step, x.memory, x.memory.version)
        return out

    def item(self, x: torch.Tensor) -> TracedFloat:
        b = self.tracer.at_line()
        with quiet():
            value = x.item()
        step = b.reshape(self.step(x), ())
        return TracedFloat(value, b.cast(b.stop(step) if self.tracer.stops else step, "float64"), self.tracer)

    def tolist(self, x: torch.Tensor) -> Any:
        return [self.tolist(i) for i in x.unbind()] if x.dim() else self.item(x)

    def function(self, function: Any, args: Any, options: Any) -> Any:
        """A torch function that was given traced floats or arrays."""
        like = next(floats((*args, *options.values())), None)
        args = tuple(self.tensor(a, like) for a in args)
        return function(*args, **{k: self.tensor(v, like) for k, v in options.items()})


_SCALAR = Strided(0, ())


def _index(x: torch.Tensor) -> Strided:
    """Where the entries of a tensor lie in its storage."""
    if not x.dim() and not x.storage_offset():
        return _SCALAR
    return Strided(int(x.storage_offset()), tuple(x.stride()))
