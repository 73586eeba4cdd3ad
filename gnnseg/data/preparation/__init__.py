"""Tables larger than memory made into a folder that training reads: numbered, filtered, sorted by user."""

from gnnseg.data.preparation.folder import read_folder
from gnnseg.data.preparation.tables import prepare_tables

__all__ = ["prepare_tables", "read_folder"]
