"""``python -m pipeline`` is ``deconvflow``."""

from pipeline.cli import main

main()
