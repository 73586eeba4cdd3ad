"""Settings chosen on validation: a study that survives a stop, then the best of it trained for real.

A trial fits its settings on train and looks at validation; test is read once, by the run at the end. Each
trial draws from a generator of its own: a study that was stopped and goes on tries what it would have tried.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnseg import environment, space
from gnnseg.config import Config
from gnnseg.errors import CheckpointError, ConfigError, TrainingError, differences
from gnnseg.evaluation import evaluate
from gnnseg.fitting import fit_scorer
from gnnseg.overrides import pick, put
from gnnseg.pipeline import Run, run
from gnnseg.prepared import Prepared, prepare
from gnnseg.run_folder import refuse_existing, refuse_interrupted
from gnnseg.seeding import numpy_rng
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Task, Tracker

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

_STAGE_TWO = 1_000_000
"""Added to the epochs of stage 2, so that pruning compares each stage with the same stage of other trials."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        config: With the best settings.
        best: ``trial`` (from 1), ``settings`` by dotted key, ``value`` on validation, ``metric``.
        trials: Of every trial: ``settings``, ``value``, ``epochs``, ``seconds``, ``state``.
    """

    config: Config
    best: dict[str, Any]
    trials: list[dict[str, Any]]

    @property
    def overrides(self) -> dict[str, Any]:
        """The best settings as content of a config."""
        content: dict[str, Any] = {}
        for key, value in self.best["settings"].items():
            put(content, key, value)
        return content

    def as_json(self) -> dict[str, Any]:
        """Content of ``search.json``."""
        return {"best": self.best, "space": self.config.search, "trials": self.trials}


def tune(config: Config, trials: int, out: Path, tracker: Tracker | None = None) -> tuple[Run, Found]:
    """Search, then train, test and save the best settings.

    Args:
        config: With a ``search`` block.
        trials: How many in all, those of earlier calls counted; the first is the config as it stands.
        out: Folder of the run; the study lies beside it, see :func:`study_folder`.
        tracker: Told of trials, epochs and progress.

    Raises:
        ConfigError: If there is no ``search`` block, or optuna is not installed.
        GnnsegError: For anything else that a user can mend.
    """
    tracker = tracker or Tracker()
    _optuna()
    if not config.search:
        raise ConfigError(f"'{config.name}' has no search block to choose from; add one: {space.EXAMPLE}")
    refuse_existing(out)
    refuse_interrupted(out)
    data = prepare(config.dataset, environment.find_device(config.device), tracker)
    found = search(config, trials, study_folder(config, out), data, tracker)
    notes = {"search.json": found.as_json()}
    return run(found.config, out=out, tracker=tracker, prepared=data, notes=notes), found


def study_folder(config: Config, out: Path) -> Path:
    """Where the study lies: named after the config, so that the same command finds it again."""
    return out.parent / f"{config.name}.search"


def search(config: Config, trials: int, folder: Path, data: Prepared, tracker: Tracker) -> Found:
    """Try settings on validation until there are ``trials`` trials in all.

    Args:
        config: With a ``search`` block.
        trials: How many in all, those kept in ``folder`` counted.
        folder: Of the study.
        data: The config's dataset; its test part is left alone.
        tracker: Shown the progress.

    Raises:
        CheckpointError: If another study lies in ``folder``, or it cannot be read or written.
        ConfigError: If validation is empty.
        TrainingError: If no trial ended with a finite loss.
    """
    if not len(data.choosing):
        raise ConfigError("a search chooses on validation, which is empty; set dataset.split.valid above 0")
    with _writable(folder):
        study = _open(folder, config, data)
        with tracker.task("search", trials) as task:
            _tell(task, study, min(trials, len(_ended(study))))
            while (number := len(_ended(study))) < trials:
                _try(study, config, data, number, tracker)
                _tell(task, study, 1)
        return _found(study, config, folder)


def _optuna() -> Any:
    """The package, imported only where it is needed."""
    try:
        import optuna
    except ImportError:
        raise ConfigError('a search needs optuna; pip install "gnnseg[search]"') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """A study that cannot be written is one clear line."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"cannot write '{folder}': {error.strerror or error}") from None


def _open(folder: Path, config: Config, data: Prepared) -> Study:
    """A new study, or the one in ``folder`` ready to go on."""
    optuna = _optuna()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.log"
    _drop_torn_line(path)
    journal = optuna.storages.journal
    warmup = config.train.patience * config.train.evaluate_every  # what early stopping grants any trial
    try:
        backend = journal.JournalFileBackend(str(path), journal.JournalFileOpenLock(str(path)))
        study: Study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name="search",
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=warmup),
            load_if_exists=True,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"'{path}' is damaged: {error}; remove it to begin anew") from None
    idle = {"device": None, "reference": None}  # may change without changing what is tried
    here = {**config.resolved(), **idle, "data": data.describe()["digest"]}
    found = differences(study.user_attrs.get("config", here), here)
    if found:
        raise CheckpointError(
            f"'{folder}' holds another study: {found}; remove it, or name this one with -s name=..."
        )
    study.set_user_attr("config", here)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # stopped midway; tried again
    return study


def _drop_torn_line(path: Path) -> None:
    """Cut off the line that a killed process was writing."""
    if path.is_file() and not (content := path.read_bytes()).endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])


def _ended(study: Study) -> list[FrozenTrial]:
    """The trials that came to an end of their own."""
    return [
        t for t in study.get_trials(deepcopy=False) if t.state.is_finished() and "seconds" in t.user_attrs
    ]


def _complete(study: Study) -> list[FrozenTrial]:
    return [trial for trial in _ended(study) if trial.state.name == "COMPLETE"]


def _tell(task: Task, study: Study, count: int) -> None:
    best = max((float(t.value) for t in _complete(study) if t.value is not None), default=None)
    task.advance(count, **({} if best is None else {"best": best}))


def _try(study: Study, config: Config, data: Prepared, number: int, tracker: Tracker) -> None:
    """One trial, kept whatever becomes of it."""
    optuna = _optuna()
    states, value = optuna.trial.TrialState, None
    seed = int(numpy_rng(config.seed, f"trial {number}").integers(2**31))
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    trial, settings = _ask(study, config, number)
    progress, started = Progress(), time.perf_counter()
    chosen, watch = config.with_settings(settings), _Watch(trial, f"valid_{config.choose_by}", tracker)
    try:
        scorer = fit_scorer(chosen, data, progress, watch, Clock()).scorer
        found = evaluate(scorer, data.choosing, data.train, [config.choose_by], tracker=watch)
        state, value = states.COMPLETE, found.means[config.choose_by]
    except optuna.TrialPruned:
        state = states.PRUNED
    except TrainingError:
        state = states.FAIL
    trial.set_user_attr("settings", settings)
    trial.set_user_attr("epochs", len(progress.history))
    trial.set_user_attr("seconds", time.perf_counter() - started)
    study.tell(trial, value, state)


def _ask(study: Study, config: Config, number: int) -> tuple[Trial, dict[str, Any]]:
    """The next trial and its settings; the first is the config as it stands, inside the space or not."""
    if number > 0:
        trial = study.ask()
        return trial, {key: _suggest(trial, key, form) for key, form in config.search.items()}
    own = {key: pick(config.resolved(), key) for key in config.search}
    inside = {key: form for key, form in config.search.items() if space.holds(form, own[key])}
    if not study.get_trials(deepcopy=False, states=(_optuna().trial.TrialState.WAITING,)):
        study.enqueue_trial({key: _encoded(form, own[key]) for key, form in inside.items()})
    trial = study.ask()
    for key, form in inside.items():
        _suggest(trial, key, form)
    return trial, own


def _suggest(trial: Trial, key: str, form: space.Form) -> Any:
    """A value that the sampler proposes; choices are kept as JSON, as they may be components."""
    if isinstance(form, list):
        texts = list(dict.fromkeys(json.dumps(choice) for choice in form))
        return json.loads(trial.suggest_categorical(key, texts))
    low, high, log, step = (form[name] for name in ("low", "high", "log", "step"))
    whole = space.is_whole(form)
    if step is not None:  # optuna wants the end of the grid
        high = low + math.floor((high - low) / step + 1e-9) * step
        high = high if whole else float(f"{high:.12g}")
    if whole:
        return trial.suggest_int(key, low, high, log=log, step=step or 1)
    return trial.suggest_float(key, low, high, log=log, step=step)


def _encoded(form: space.Form, value: Any) -> Any:
    return json.dumps(form[form.index(value)]) if isinstance(form, list) else value


def _found(study: Study, config: Config, folder: Path) -> Found:
    trials = [
        {
            "settings": t.user_attrs["settings"],
            "value": t.value,
            "epochs": t.user_attrs["epochs"],
            "seconds": t.user_attrs["seconds"],
            "state": t.state.name.lower(),
        }
        for t in _ended(study)
    ]
    complete = [number for number, trial in enumerate(trials) if trial["state"] == "complete"]
    if not complete:
        raise TrainingError(
            f"none of {len(trials)} trials ended with a finite loss; search lower values of "
            f"train.learning_rate, and remove '{folder}' to begin anew"
        )
    best = max(complete, key=lambda number: trials[number]["value"])
    settings, value = trials[best]["settings"], trials[best]["value"]
    about = {"trial": best + 1, "settings": settings, "value": value, "metric": config.choose_by}
    return Found(config.with_settings(settings), about, trials)


class _Watch(Tracker):
    """Passes progress on, and ends a trial whose validation figures stay below the median of the others.

    Args:
        trial: Told of the figures.
        figure: Their name in the records.
        tracker: Shown the progress.
    """

    def __init__(self, trial: Trial, figure: str, tracker: Tracker) -> None:
        self.trial, self.figure, self.tracker = trial, figure, tracker

    def log(self, record: Mapping[str, Any]) -> None:
        """Look at one epoch's record; curves are kept of the run at the end, not of trials."""
        if self.figure in record:
            self.trial.report(record[self.figure], record["epoch"] + _STAGE_TWO * (record["stage"] - 1))
            if self.trial.should_prune():
                raise _optuna().TrialPruned

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """A step of the trial."""
        with self.tracker.task(name, total) as task:
            yield task
