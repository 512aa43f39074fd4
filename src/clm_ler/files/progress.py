"""How far long work is, how fast it goes, how long it will still take: in a terminal a live line."""

import logging
import sys
import time

from tqdm import tqdm

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 30.0
LINES = 10  # of one piece of work: one for each tenth but the last, whose end is said elsewhere


class Progress:
    """Counts the steps of long work; where there is no terminal, a line says each tenth of it.

    Short work says nothing.
    """

    def __init__(self, name: str, total: int, unit: str, done: int = 0) -> None:
        """Begin to count.

        Args:
            name: What is being done, such as the name of a dataset.
            total: How many steps there are.
            unit: What a step is, in the plural: ``persons``.
            done: Steps that an earlier run has done.
        """
        self._name, self._total, self._unit = name, total, unit
        self._done, self._before, self._note = done, done, ""
        self._began = self._told = time.monotonic()
        self._tenths = done * LINES // max(total, 1)
        live = {"desc": name, "total": total, "initial": done, "unit": f" {unit}", "leave": False}
        self._bar = tqdm(**live) if done < total and sys.stderr.isatty() else None

    def step(self, count: int = 1) -> None:
        """Count steps that are done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
            if self._done >= self._total:
                self.close()
        elif self._is_worth_a_line():
            self._tell()

    def note(self, text: str) -> None:
        """Say this beside the numbers from now on, such as the loss."""
        self._note = f", {text}" if text else ""
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

    def close(self) -> None:
        """End the live line, also where work ends early."""
        if self._bar is not None:
            self._bar.close()

    def _is_worth_a_line(self) -> bool:
        tenths, now = self._done * LINES // max(self._total, 1), time.monotonic()
        soon = now - self._told < SECONDS_BETWEEN_LINES
        if tenths == self._tenths or soon or self._done >= self._total:
            return False
        self._tenths, self._told = tenths, now
        return True

    def _tell(self) -> None:
        rate = (self._done - self._before) / (self._told - self._began)
        logger.info(
            "%s: %s of %s %s, %s a second, about %.0f s left%s",
            self._name,
            f"{self._done:,}",
            f"{self._total:,}",
            self._unit,
            f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}",
            (self._total - self._done) / rate,
            self._note,
        )
