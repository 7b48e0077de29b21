"""Records on their way to the log, with what the GPUs do where something was blocked."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from firewall.actor import Actor
from firewall.events import raised
from firewall.ports import Done, Gpu, Log
from firewall.redaction import Redactor

logger = logging.getLogger(__name__)


class Recorder:
    """Writes events that are without secrets already; `redactor` is for what the GPUs say."""

    def __init__(self, log: Log, gpu: Gpu, redactor: Callable[[], Redactor]) -> None:
        self._log = log
        self._gpu = gpu
        self._redactor = redactor

    def append(
        self, event: Mapping[str, Any], done: Done | None = None, *, urgent: bool = True
    ) -> None:
        """Record it; `done` is told of a failure too."""
        try:
            self._log.append(event, done, urgent=urgent)
        except Exception as error:
            logger.exception("a record could not be written")
            if done is not None:
                done(error)

    def with_gpu(self, event: dict[str, Any], actor: Actor, done: Done | None = None) -> None:
        """Record what was (or would have been) blocked, or is suspicious, with what the GPUs do at
        this moment."""

        def measured(gpu: Mapping[str, Any]) -> None:
            self.append({**raised(event, gpu), "gpu": self._redactor().value(gpu)}, done)

        try:
            self._gpu.fresh(actor, measured)
        except Exception as error:
            logger.exception("the GPUs could not be asked")
            measured({"status": "unavailable", "reason": repr(error)})
