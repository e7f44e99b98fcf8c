"""The answer of `check --update` as text."""

from pathlib import Path

from inception_lab.budgets.update import LockChange, LockUpdate
from inception_lab.budgets.verdict import Change
from inception_lab.cli.lock_text import update_text

LOCK = Path("/repo/inception-lab.lock")


def test_new_changed_and_removed_budgets_are_told_apart():
    layers = (Change("a", 1e6, 3e6), Change("b", 0, 5e5), Change("c", 4e6, 0))
    update = LockUpdate(
        LOCK,
        (
            LockChange("fresh", "params", None, 6_998_552),
            LockChange("fresh", "peak_bytes", None, 2**20),
            LockChange("grown", "params", 10_000_000, 8_500_000, layers),
            LockChange("grown", "train_peak_bytes", 5, None),
            LockChange("old", "params", 5, None),
        ),
        {"absent": "nowhere:Net: no module named 'nowhere'"},
    )
    assert update_text(update, every_layer=False) == (
        "wrote /repo/inception-lab.lock\n"
        "new      fresh  params 7.00 M, peak_bytes 1.00 MiB\n"
        "changed  grown\n"
        "         params 10.0 M -> 8.50 M (-15 %)\n"
        "           c  -4.00 M (gone)\n"
        "           a  +2.00 M (1.00 M -> 3.00 M)\n"
        "           b  +500 k (new)\n"
        "         train_peak_bytes no more\n"
        "removed  old\n"
        "error    absent: nowhere:Net: no module named 'nowhere'\n"
    )


def test_a_lock_that_stays_and_one_that_was_damaged_say_so():
    assert update_text(LockUpdate(LOCK, (), {}), every_layer=False) == (
        "wrote /repo/inception-lab.lock\nnothing changed\n"
    )
    assert "could not be read: damaged lock" in update_text(
        LockUpdate(LOCK, (), {}, "damaged lock"), every_layer=False
    )


def test_layers_beyond_the_first_ones_are_counted():
    layers = tuple(Change(f"layer{i}", 0, i + 1) for i in range(8))
    update = LockUpdate(LOCK, (LockChange("x", "macs", 1, 37, layers),), {})
    assert "macs 1 -> 37 (+3,600 %)\n" in update_text(update, every_layer=False)
    assert "           and 3 more\n" in update_text(update, every_layer=False)
    assert update_text(update, every_layer=True).count("(new)") == 8


def test_layers_that_moved_and_settings_that_changed():
    moved = LockChange("x", "macs", 37, 37, (Change("new", 0, 5), Change("old", 5, 0)))
    text = update_text(LockUpdate(LOCK, (moved,), {}, conditions={"x": ("torch",)}), every_layer=False)
    assert "changed  x\n         macs 37, in other layers\n" in text
    assert text.endswith("changed  x  torch\n")
