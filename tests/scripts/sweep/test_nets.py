"""The nets to trace."""

import sweep_zoo
from sweep import nets


def test_hostile_nets_that_must_be_refused_are_no_failures():
    subjects = {subject.name: subject for subject in nets.from_hostile()}
    assert sweep_zoo.measure(subjects["raising"]).traced == "refused"
    assert sweep_zoo.measure(subjects["branching"]).traced == "cpu"
