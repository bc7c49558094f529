"""Runs the downloader: ``python -m downloader``."""

from downloader.main import main

main()
