"""``python -m gnnseg``."""

from gnnseg.cli import main

main()
