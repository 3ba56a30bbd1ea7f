"""What was made, copied to where its user wants it: a folder, or the hub."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from httpx import HTTPError
from huggingface_hub import HfApi, get_token

from blasphemer.errors import BlasphemerError, UsageError, first_line
from blasphemer.export.artifacts import PROOF
from blasphemer.workspace import copy_whole


def hand_over(artifact: Path, target: Path) -> None:
    """Copy adapter/ or merged/ to where the user wants it. Raises UsageError if something is there already."""
    if target.exists() and (target.is_file() or any(target.iterdir())):
        raise UsageError(f"{target}: is there already; give the name of a new folder.")
    with suppress(FileNotFoundError):
        target.rmdir()  # an empty folder may stand in its place
    copy_whole(artifact, target)


def hub_token() -> str | None:
    """The access token that the environment or a login to the hub provides."""
    return get_token()


def upload(artifact: Path, repository: str, token: str | None, is_private: bool) -> str:
    """Put adapter/ or merged/ into a repository on the Hugging Face hub, made if need be. Returns its address."""
    if not token:
        raise UsageError("Uploading needs an access token of the hub; give it when asked, or in HF_TOKEN.")
    try:
        hub = HfApi(token=token)
        made = hub.create_repo(repository, private=is_private, exist_ok=True)
        hub.upload_folder(repo_id=made.repo_id, folder_path=artifact, ignore_patterns=[PROOF])
    except (OSError, ValueError, HTTPError) as error:
        raise BlasphemerError(f"{repository}: cannot be uploaded: {first_line(error)}") from error
    return str(made)
