"""Warnings about autoscaling policies: who reads them, and what their metrics and targets mean."""
