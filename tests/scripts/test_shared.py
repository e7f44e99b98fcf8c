"""The helpers of the scripts."""

import argparse
import time

import pandas as pd

from shared import REPORTS, ROOT, add_output, context_line, time_run, write_csv


def test_time_is_that_of_this_thread_alone():
    seconds, result = time_run(lambda: time.sleep(0.2) or 7)
    assert result == 7
    assert 0 <= seconds < 0.1


def test_files_are_written_into_a_folder_that_is_made(tmp_path):
    write_csv(tmp_path / "a" / "b", "c.csv", pd.DataFrame({"x": [1 / 3, 2.0], "y": ["z", None]}), "%.2g")
    assert (tmp_path / "a" / "b" / "c.csv").read_bytes() == b"x,y\n0.33,z\n2,\n"


def test_the_output_option_shows_its_default_without_the_machine():
    parser = argparse.ArgumentParser()
    add_output(parser, REPORTS / "fields")
    assert "default: reports/fields" in parser.format_help()
    assert str(ROOT) not in parser.format_help()
    assert parser.parse_args([]).output == REPORTS / "fields"


def test_the_context_names_processor_and_versions():
    assert ", 1 thread, Python 3." in context_line("1 thread")
