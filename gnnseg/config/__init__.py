"""Experiments as YAML: read, overridden, checked against signatures, and resolved to every default."""

from gnnseg.config.dataset import DatasetConfig, dataset_notes, load_dataset_config, shipped_datasets
from gnnseg.config.experiment import KINDS, SEARCHABLE, Config, Reference, Schedule
from gnnseg.config.loading import find_config, load_config, shipped_configs

__all__ = [
    "KINDS",
    "SEARCHABLE",
    "Config",
    "DatasetConfig",
    "Reference",
    "Schedule",
    "dataset_notes",
    "find_config",
    "load_config",
    "load_dataset_config",
    "shipped_configs",
    "shipped_datasets",
]
