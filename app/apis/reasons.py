"""The reasons that the conditions of a ModelBooster can have."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Every value of ``status.conditions[].reason``; part of the API."""

    RECONCILING = "Reconciling"
    RETRYING = "RetryingTransientError"
    STATUS_UNKNOWN = "StatusUnknown"
    CREATING = "ModelCreating"
    PROCESSING = "ModelProcessing"
    AVAILABLE = "ModelAvailable"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_FAILURE = "NoFailure"
    VALIDATION_FAILED = "ValidationFailed"
    UNSUPPORTED_TYPE = "UnsupportedBackendType"
    NAME_CONFLICT = "ChildNameConflict"
    APPLY_FAILED = "ChildApplyFailed"
    ROLLOUT_HELD = "RolloutHeld"
    CACHE_WARMUP = "WaitingForCache"
    CACHE_WARMUP_FAILED = "CacheWarmupFailed"
    CONFLICTING = "ConflictingController"
