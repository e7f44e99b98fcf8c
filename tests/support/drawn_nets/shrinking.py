"""A net with a fault, made as small as it goes while the fault stays."""

from support.drawn_nets.comparison import Fault, compare_fields, faults_of_macs
from support.drawn_nets.nets import Spec, smaller

MOST_TRIES = 400


def shrunk(spec: Spec, kind: str) -> tuple[Spec, Fault]:
    """The smallest net found that has a fault of a kind, and the fault."""
    fault = _fault(spec, kind)
    assert fault is not None, f"no fault of kind {kind}"
    tries = 0
    while True:
        for candidate in smaller(spec):
            tries += 1
            if tries > MOST_TRIES:
                return spec, fault
            other = _fault(candidate, kind)
            if other is not None:
                spec, fault = candidate, other
                break
        else:
            return spec, fault


def _fault(spec: Spec, kind: str) -> Fault | None:
    """The first fault of a kind; none where the net does not run."""
    try:
        faults = faults_of_macs(spec) if kind == "macs" else compare_fields(spec).faults
    except Exception:
        return None
    return next((fault for fault in faults if fault.kind == kind), None)
