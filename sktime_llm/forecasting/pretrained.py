"""Checkpoints of forecasters: folders without pickles, here and on the Hub."""

import importlib
import tempfile
from pathlib import Path
from typing import Any

import huggingface_hub
import pandas as pd

from sktime_llm.forecasting._checkpoint import read_checkpoint
from sktime_llm.forecasting._pretrained import (
    CLASSES,
    check_class,
    load_forecaster,
    save_forecaster,
)
from sktime_llm.forecasting._series import MTYPES


class PretrainedFolders:
    """Methods that save a forecaster without pickles, and load it again."""

    def save_pretrained(self, path: str | Path, *, keep_past: bool = True) -> Path:
        """Save to a folder that is loaded without running code from it.

        It has the weights that are the forecaster's own, what it knows of its series,
        and a model card. The frozen weights of the backbone are looked for by name
        where it is loaded. The folder is written under another name and renamed at
        the end.

        Parameters
        ----------
        path : str or Path
            A new or empty folder, or a checkpoint, which is replaced.
        keep_past : bool, default=True
            Whether to save all rows of fit and update, which forecasts of the past
            need, or only the last ones, as long as a window.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        SavedForecasterError
            If a parameter or the index of the data cannot be written.
        InputError
            If the folder has files that are not of a checkpoint.

        See Also
        --------
        from_pretrained : Load the folder.

        Notes
        -----
        The parameters `callbacks` and `resume`, which belong to a training on this
        machine, are left out.

        Examples
        --------
        >>> import tempfile
        >>> from sktime.datasets import load_airline
        >>> from sktime_llm import CALFForecaster
        >>> forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1)
        >>> forecaster = forecaster.fit(load_airline(), fh=[1, 2, 3])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saved = forecaster.save_pretrained(f"{folder}/airline")
        ...     loaded = CALFForecaster.from_pretrained(f"{folder}/airline")
        >>> loaded.predict().equals(forecaster.predict())
        True
        """
        return save_forecaster(self, path, keep_past=keep_past)

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        revision: str | None = None,
        device: str | None = None,
    ) -> Any:
        """Load what `save_pretrained` or `push_to_hub` wrote; no code of it is run.

        Parameters
        ----------
        path : str or Path
            A folder, or a name on the Hugging Face Hub.
        revision : str, optional
            Branch, tag or commit on the Hub.
        device : str, optional
            Takes the place of the parameter `device` that was saved.

        Returns
        -------
        forecaster
            Fitted, or pretrained if it was only pretrained.

        Raises
        ------
        SavedForecasterError
            If it is no whole checkpoint of this class and of a version that can be
            read, or cannot be fetched.
        BackboneCorruptedError
            If the backbone is not the one that it was trained with.
        BackboneNotFoundError
            If a forecast needs the backbone, which is not here.

        Examples
        --------
        >>> import tempfile
        >>> from sktime.datasets import load_airline
        >>> from sktime_llm import CALFForecaster
        >>> forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1)
        >>> forecaster = forecaster.fit(load_airline(), fh=[1, 2, 3])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saved = forecaster.save_pretrained(f"{folder}/airline")
        ...     loaded = CALFForecaster.from_pretrained(saved, device="cpu")
        >>> loaded.is_fitted
        True
        """
        checkpoint = read_checkpoint(path, revision)
        return load_forecaster(cls, checkpoint, device)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        revision: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        commit_message: str | None = None,
        keep_past: bool = False,
    ) -> str:
        """Save to the Hugging Face Hub what `save_pretrained` writes.

        Parameters
        ----------
        repo_id : str
            Name of the repository, such as ``"me/airline"``; made if it is new.
        revision : str, optional
            Branch to write to, made if it is new; the main one by default.
        private : bool, optional
            Whether a new repository is private; None leaves it to your account.
        token : str, optional
            Of the Hub; None uses that of ``hf auth login``.
        commit_message : str, optional
            What the history says of it.
        keep_past : bool, default=False
            Whether to publish all rows of the data, or, of a fitted forecaster, only
            the last ones, as long as a window.

        Returns
        -------
        str
            The address of the commit.

        Examples
        --------
        >>> from sktime.datasets import load_airline
        >>> from sktime_llm import CALFForecaster
        >>> forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1)
        >>> forecaster = forecaster.fit(load_airline(), fh=[1, 2, 3])
        >>> forecaster.push_to_hub("me/airline")  # doctest: +SKIP
        """
        api = huggingface_hub.HfApi(token=token)
        with tempfile.TemporaryDirectory() as work:
            folder = save_forecaster(
                self, Path(work) / "checkpoint", keep_past=keep_past, repo_id=repo_id
            )
            api.create_repo(repo_id, private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(repo_id, branch=revision, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                revision=revision,
                commit_message=commit_message or f"Add a {type(self).__name__}",
            )
        return str(getattr(commit, "commit_url", commit))


def rows_of(forecaster: Any) -> pd.Series | pd.DataFrame:
    """Return the rows that a forecaster keeps, as a series if it was given one."""
    known = forecaster._known
    rows = known.rows if known.past is None else known.past
    if forecaster._y_mtype_last_seen != "pd.Series":
        return rows
    return rows.iloc[:, 0].rename(forecaster._converter_store_y.get("name"))


def covariates_ahead_of(forecaster: Any) -> list[Any]:
    """Return the names of the covariates that a forecast needs the future of."""
    covariates = forecaster._known.covariates
    if covariates is None:
        return []
    pairs = zip(covariates.names, covariates.past_only, strict=True)
    return [name for name, is_past in pairs if not is_past]


def answer_in_frames(forecaster: Any) -> None:
    """Let a forecaster that was given arrays or lists forecast frames with times."""
    if forecaster._y_mtype_last_seen != "pd.Series":
        n_levels = forecaster._known.rows.index.nlevels
        mtype = MTYPES[min(n_levels, len(MTYPES)) - 1]
        forecaster._y_metadata = {**forecaster._y_metadata, "mtype": mtype}


def load_pretrained(
    path: str | Path, *, revision: str | None = None, device: str | None = None
) -> Any:
    """Load a checkpoint of any of the forecasters; no code of it is run.

    Parameters
    ----------
    path : str or Path
        A folder, or a name on the Hugging Face Hub.
    revision : str, optional
        Branch, tag or commit on the Hub.
    device : str, optional
        Takes the place of the parameter `device` that was saved.

    Returns
    -------
    forecaster
        Fitted, or pretrained if it was only pretrained.

    Raises
    ------
    SavedForecasterError
        If it is no whole checkpoint of a version that can be read.

    See Also
    --------
    sktime_llm.load : Load the pickle that `save` writes.

    Examples
    --------
    >>> import tempfile
    >>> from sktime.datasets import load_airline
    >>> from sktime_llm import CALFForecaster, load_pretrained
    >>> forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1)
    >>> forecaster = forecaster.fit(load_airline(), fh=[1, 2, 3])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loaded = load_pretrained(forecaster.save_pretrained(f"{folder}/airline"))
    >>> type(loaded).__name__
    'CALFForecaster'
    """
    checkpoint = read_checkpoint(path, revision)
    name = check_class(checkpoint)
    cls = getattr(importlib.import_module(CLASSES[name]), name)
    return load_forecaster(cls, checkpoint, device)
