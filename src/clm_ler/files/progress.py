"""One line for long work: how much of it is done, how fast it goes, how long it will still take."""

import logging
import time

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 20.0


class Progress:
    """Counts the steps of long work and says every so often how far it is.

    Short work says nothing.
    """

    def __init__(self, name: str, total: int, unit: str) -> None:
        """Begin to count.

        Args:
            name: What is being done, such as the name of a dataset.
            total: How many steps there are.
            unit: What a step is, in the plural: ``persons``.
        """
        self._name, self._total, self._unit = name, total, unit
        self._done = 0
        self._began = self._told = time.monotonic()

    def step(self, count: int = 1) -> None:
        """Count steps that are done."""
        self._done += count
        now = time.monotonic()
        if now - self._told < SECONDS_BETWEEN_LINES:
            return
        self._told = now
        rate = self._done / (now - self._began)
        logger.info(
            "%s: %s of %s %s, %s a second, about %.0f s left",
            self._name,
            f"{self._done:,}",
            f"{self._total:,}",
            self._unit,
            f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}",
            (self._total - self._done) / rate,
        )
