"""A program in a pseudo-terminal: what it shows is read, and keys are pressed, as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

ENTER, ESCAPE, CONTROL_C, UP, DOWN = "\r", "\x1b", "\x03", "\x1b[A", "\x1b[B"
ROWS, COLUMNS = 50, 200
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07|\r")
WHERE_IS_THE_CURSOR, THE_CURSOR_IS = b"\x1b[6n", b"\x1b[1;1R"
PATIENCE = 180.0  # seconds


class Terminal:
    """Starts a program and shows it a terminal of 50 rows."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self.screen, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm", "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            words, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""  # since the last key

    def wait_for(self, text: str) -> str:
        """Read until `text` is shown; returns all that was shown since the last key was pressed."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} was not shown, but:\n{self.shown}"
            if select.select([self.screen], [], [], 0.1)[0]:
                self._read()
            elif self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before {text!r}:\n{self.shown}")
        return self.shown

    def press(self, *keys: str) -> None:
        time.sleep(0.2)  # a question takes keys once it is drawn
        self.shown = ""
        for key in keys:
            os.write(self.screen, key.encode())
            time.sleep(0.1)

    def end(self) -> int:
        """The exit code, once the program has ended by itself."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.screen], [], [], 0.1)[0]:
                self._read()
        return self.process.wait(timeout=1)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.screen)

    def _read(self) -> None:
        try:
            heard = os.read(self.screen, 1 << 16)
        except OSError:  # the program has closed its side
            return
        if WHERE_IS_THE_CURSOR in heard:
            os.write(self.screen, THE_CURSOR_IS)
        self.shown += CONTROL.sub("", heard.decode("utf-8", errors="replace"))
