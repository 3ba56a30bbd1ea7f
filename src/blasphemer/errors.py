"""Every way a run can fail, and the exit code each one carries.

BlasphemerError (1)        failed: a one-line reason and what to do
├── UsageError (2)         the command, a setting or a folder's state is not what it must be
│   ├── SettingsError          unknown keys and bad values, all at once
│   ├── SourceError            the documents: missing, empty, nothing readable
│   ├── ModelError             the model: missing, no tokenizer, no chat template
│   └── RunFolderError         the run folder belongs to other settings, or to a running process
├── EndpointError (1)      the server that writes study material gives no usable answer
├── TooLong (1)            a study item does not fit the model's context
├── ArtifactError (1)      a written adapter or merged model is not the model that was trained
├── Unreadable             one file cannot be read: recorded in the ledger, the run goes on
│   └── NotYetReadable         ... but could be another time: OCR is not installed, or its time was up
└── Interrupted (130)      stopped by the user; the same command resumes
"""

from __future__ import annotations

import errno


class BlasphemerError(Exception):
    """A failure to be shown as one line; `exit_code` is what the process returns."""

    exit_code = 1


class UsageError(BlasphemerError):
    exit_code = 2


class SettingsError(UsageError):
    """All problems with the settings of one command, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SourceError(UsageError):
    pass


class ModelError(UsageError):
    pass


class RunFolderError(UsageError):
    pass


class EndpointError(BlasphemerError):
    pass


class TooLong(BlasphemerError):
    pass


class ArtifactError(BlasphemerError):
    pass


class Unreadable(BlasphemerError):
    """Why one file was left out, in the words the ledger will show."""


class NotYetReadable(Unreadable):
    pass


class Interrupted(BlasphemerError):
    exit_code = 130


def is_full_disk(error: BaseException | None) -> bool:
    """Was this, or what led to it, a write that found no room? Libraries wrap the system's error in their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if any(words in str(error) for words in ("No space left", "PytorchStreamWriter failed", "File too large")):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Was there no memory left, of the machine or of a GPU? PyTorch says so in words."""
    words = ("out of memory", "can't allocate memory", "Cannot allocate memory")
    said = isinstance(error, RuntimeError | OSError) and any(one in str(error) for one in words)
    return isinstance(error, MemoryError) or said


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without its full stop."""
    return str(error).strip().split("\n")[0][:200].rstrip(".")
