"""The only place that opens a connection: files of the Hugging Face hub, when a person asks for them."""

from pathlib import Path

from gpu_quality.errors import ResourceError


def download(repo: str, file: str, folder: Path) -> Path:
    """Fetch one file of a repository into a folder. Raises `ResourceError` that says what to do without a connection."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    try:
        return Path(hf_hub_download(repo, file, local_dir=folder))
    except GatedRepoError:
        raise ResourceError(
            f"{repo} hands its files out only after its licence is accepted",
            hint=f"accept it on the hub, run `hf auth login`, or put {file} into {folder} by hand",
        ) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ResourceError(
            f"{file} of {repo} could not be fetched: {' '.join(str(error).split())[:200]}",
            hint=f"try again, or put the file into {folder} by hand",
        ) from None
