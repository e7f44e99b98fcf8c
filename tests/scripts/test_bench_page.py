"""The script that times pages: a row for each net, with figures that can be told without it."""

import sys

import bench_page


def test_a_row_for_each_net(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench_page.py", "nin"])
    monkeypatch.setattr(bench_page, "ROUNDS", 1)
    bench_page.main()
    _, _, nin, deep = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in nin.strip("|").split("|")]
    assert cells[0] == "nin"
    assert int(cells[3]) > 0
    assert int(cells[4]) < 300
    # the model, and of each block itself, two chains and six layers
    assert deep.startswith(f"| 225 residual blocks | {1 + 225 * 9:,} |")
