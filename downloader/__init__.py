"""A program of its own that brings a model to a folder."""

VERSION = "1.0.0"
"""The tag of its image. Raise it with every change of its code: releases push no other image for
a version that exists, so that an upgrade of the operator alone restarts no model."""
