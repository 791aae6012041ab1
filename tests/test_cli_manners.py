"""What a command prints where, and how it ends: exit codes, Ctrl-C, pipes."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import molfm
from molfm.app import cli
from molfm.training import module

SMALL = ("--batch-size", 16, "--hidden-channels", 8, "--num-layers", 1)


@pytest.fixture
def molfm_command(monkeypatch):
    """A function that runs a `molfm` command in this process, without a terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture
def keep_ctrl_c():
    """The Ctrl-C handler, restored afterwards: Lightning changes it when it shuts down."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def lines(text):
    """Return the lines of a command's output, which must be plain text."""
    assert not re.search(r"[\x1b\r\b]", text)
    return text.splitlines()


def test_the_version_is_printed_alone(molfm_command):
    done = molfm_command("--version")
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"molfm {molfm.__version__}\n", "")


def test_results_go_to_stdout_and_notes_to_stderr(molfm_command, own_home, tmp_path):
    smiles = ["C" * n + "O" * (n % 2) for n in range(1, 21)]
    pd.DataFrame({"smiles": smiles, "y": np.arange(20.0), "z": np.arange(20.0)}).to_csv(
        tmp_path / "mine.csv", index=False
    )
    done = molfm_command("train", tmp_path / "mine.csv", "--steps", 2, *SMALL, "--name", "mine")
    assert done.exit_code == 0, done.output
    *table, folder = lines(done.stdout)
    assert folder == f"Run folder: {own_home / 'runs' / 'mine'}"
    assert all(line[0] in "┏┃┡│└" for line in table)
    assert lines(done.stderr)[0].startswith("molfm: mine.csv: no tasks were named")


def test_rows_are_not_broken_where_there_is_no_terminal(molfm_command):
    done = molfm_command("cards")
    assert done.stderr == ""
    assert len(lines(done.stdout)) == len(molfm.cards()) + 4  # one line per card, a head of three lines, a foot
    titles = molfm.cards().title
    assert all(title in done.stdout for title in titles)


def test_losses_and_logger_are_options(molfm_command, toy_card, own_home):
    pytest.importorskip("tensorboard", reason='needs tensorboard: pip install "molfm[loggers]"')
    words = ["--loss", "regression=mse", "--loss", "binary=bce", "--logger", "tensorboard", "--name", "mine"]
    done = molfm_command("train", toy_card, "--steps", 2, *SMALL, *words)
    assert done.exit_code == 0, done.output
    config = molfm.Run("mine").config
    assert (config["losses"], config["logger"]) == ({"regression": "mse", "binary": "bce"}, "tensorboard")
    assert list((own_home / "runs" / "mine" / "tensorboard").glob("events*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--loss", "mse"], "--loss: expected NAME=LOSS, found 'mse'."),
        (["--loss", "regression=msle"], "Unknown loss 'msle' for kind 'regression'"),
        (["--logger", "mlflow"], "Expected logger to be one of tensorboard, wandb, found 'mlflow'."),
    ],
)
def test_bad_options_end_with_code_2_and_one_line(molfm_command, toy_card, words, message):
    done = molfm_command("train", toy_card, "--steps", 2, *words)
    [line] = lines(done.stderr)
    assert (done.exit_code, done.stdout) == (2, "")
    assert line.startswith(f"molfm: {message}")


def test_a_file_that_cannot_be_written_ends_with_code_2_and_one_line(molfm_command, toy_run, tmp_path):
    (tmp_path / "file").write_text("")
    done = molfm_command("predict", toy_run.folder, "CO", "--out", tmp_path / "file" / "p.csv")
    [line] = lines(done.stderr)
    assert done.exit_code == 2
    assert "file" in line and "Errno" not in line


def test_a_run_without_a_finite_loss_ends_with_code_1_and_one_line(molfm_command, toy_card, own_home):
    done = molfm_command("train", toy_card, "--steps", 4, "--learning-rate", 1e30, *SMALL)
    [line] = lines(done.stderr)
    assert (done.exit_code, done.stdout) == (1, "")
    assert line.startswith("molfm: No validation had a finite loss")


def interrupt(monkeypatch, after):
    """Press Ctrl-C in a training after some steps."""
    calls, real = [], module.total_loss

    def total_loss(*args):
        calls.append(args)
        if len(calls) > after:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module, "total_loss", total_loss)


def test_ctrl_c_ends_a_run_with_code_130_and_says_how_to_resume(
    molfm_command, toy_card, own_home, monkeypatch, keep_ctrl_c
):
    with monkeypatch.context() as patch:
        interrupt(patch, after=2)
        done = molfm_command("train", toy_card, "--steps", 4, *SMALL, "--name", "mine")
    folder = own_home / "runs" / "mine"
    assert (done.exit_code, done.stdout) == (130, "")
    assert lines(done.stderr) == [f"molfm: interrupted. Resume with: molfm train --resume {folder}"]
    again = molfm_command("train", "--resume", folder)
    assert again.exit_code == 0, again.output
    assert molfm.Run("mine").status["state"] == "finished"


def test_ctrl_c_in_a_study_ends_with_code_130_and_says_how_to_resume(molfm_command, toy_card, monkeypatch):
    def transfer(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("molfm.study.transfer.transfer", transfer)
    done = molfm_command("transfer", toy_card, "--target", "heavy", "--source", "oxygen")
    assert (done.exit_code, done.stdout) == (130, "")
    assert lines(done.stderr) == ["molfm: interrupted. Start the same command again to resume."]


def test_workers_of_a_study_leave_ctrl_c_to_their_parent():
    code = (
        "import os, signal\n"
        "from molfm.study.jobs import _end_with\n"
        "_end_with(os.getppid())\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "still here\n", done.stderr


@pytest.mark.parametrize("words", [("cards",), ("cards", "b3db"), ("cards", "b3db", "--croissant"), ("--help",)])
def test_a_reader_that_stops_early_gets_no_traceback(words):
    code = f"import sys; sys.argv = {['molfm', *words]}; from molfm.app.cli import app; app()"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == ""
