"""The error of a model that raised while it was traced, and who is to blame for it."""

from __future__ import annotations

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.formulas.sparse_layouts import shape_of
from inception_lab.running.inputs import Arguments
from inception_lab.tracing.assumed_cuda import lacks_cuda
from inception_lab.tracing.backends import is_soon_run
from inception_lab.tracing.calls import FAILED_IN
from inception_lab.tracing.recorder import Recorder
from inception_lab.tracing.rows_of_integers import hint_on_rows


class TraceError(InceptionLabError):
    """A model that raised while it was traced.

    Args:
        error: What it raised.
        recorder: Has recorded the run.
        name: Name of the model.
        call: The arguments that it was called with.

    Attributes:
        reason: What it raised and where, in one line.
        blames_meta: True where meta tensors may be to blame: the message speaks of them, or a real run
            would tell soon.
        lacks_cuda: True where the machine is to blame, which has no GPU.
    """

    def __init__(self, error: Exception, recorder: Recorder, name: str, call: Arguments) -> None:
        shapes = ", ".join("x".join(map(str, shape_of(x))) for x in call.tensors.values())
        run = f"run on an input of {shapes}" if call.tensors else "run without an input"
        path = error.__dict__.get(FAILED_IN, "")
        place = f" in {path}" if path else ""
        line = _first_sentence(str(error))
        self.reason = f"{type(error).__name__}{place}: {line}" if line else type(error).__name__
        self.lacks_cuda = lacks_cuda(error)
        self.blames_meta = not self.lacks_cuda and (_speaks_of_meta(error) or _is_soon_reached(recorder))
        hint = hint_on_rows(error, call)
        super().__init__(f"cannot {run}: {self.reason}", where=name, hint=hint, exit_code=MODEL_FAILED)


def _first_sentence(text: str) -> str:
    """The first line of a message; of a long one, as those of PyTorch's dispatcher, the first sentence."""
    line = (text.strip().splitlines() or [""])[0]
    return line.partition(". ")[0] if len(line) > _LONG else line


_LONG = 150
"""Characters of a line from which on its first sentence is enough."""


def _speaks_of_meta(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, NotImplementedError) or "meta" in text or "data pointer" in text


def _is_soon_reached(recorder: Recorder) -> bool:
    """True where a real run gets to the same point soon, and tells if meta tensors were to blame."""
    state_bytes = sum(state.bytes for state in recorder.storages.states if state.born is None)
    return is_soon_run(state_bytes, sum(operation.cost.macs for operation, *_ in recorder.ops))
