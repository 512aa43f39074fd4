"""What a prediction task is: when a risk is wanted, of what, and who can be followed so far."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal

from pydantic import ConfigDict, Field, RootModel, ValidationError, model_validator

from clm_ler.tables.samples import PER_SAMPLE
from clm_ler.tables.sources import TableSource
from clm_ler.tables.tasks.event_definition import CENTURY, EventDefinition, Strict

logger = logging.getLogger(__name__)

REQUIRED_WITHOUT_ACES: Any = None  # unless a file of ACES says all of it
# What is said of a task beside its definition.
OF_ACES = {"name", "source", "min_events", "aces", "aces_predicates"}


class IndexOptions(Strict):
    """When a risk is wanted: at visits, at events, or on fixed days."""

    visits: tuple[str, ...] = Field(
        default=(), description="Types of visits (IP, ER, OP ...), or `*`"
    )
    event: str | None = Field(default=None, description="Name of an event")
    dates: tuple[date, ...] = Field(default=(), description="Fixed days, for everybody")
    at: Literal["start", "end"] = Field(default="start", description="Start or end of the visit")
    hours_after: float = Field(
        default=0, ge=0, le=24 * CENTURY, description="Hours from that time to the prediction"
    )
    end_of_day: bool = Field(
        default=True,
        description="Predict at 23:59 of that day: what happens on it is history, never the outcome",
    )
    first_ever: bool = Field(
        default=False, description="Only the person's first such visit or event in the record"
    )
    keep: Literal["every", "first", "random", "yearly"] = Field(
        default="every",
        description="Which of a person's index dates that meet all conditions; yearly: the first in each "
        "calendar year",
    )
    min_history: int = Field(default=0, ge=0, description="Fewest days since the first record")
    max_history: int | None = Field(
        default=None, ge=0, description="Most days since the first record"
    )
    age: tuple[float | None, float | None] = Field(
        default=(None, None), description="Age in years at the prediction: from, and below"
    )
    sex: tuple[str, ...] = Field(default=(), description="Values of `gender` in demographics")
    since: date | None = Field(default=None, description="First day of a prediction")
    until: date | None = Field(default=None, description="Last day of a prediction")
    still_in: bool = Field(default=False, description="The visit has not ended at the prediction")
    having: tuple[str, ...] = Field(
        default=(), description="Events that all have to be recorded by the prediction"
    )
    without: tuple[str, ...] = Field(
        default=(), description="Events of which none may be recorded by the prediction"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "IndexOptions":
        if sum([bool(self.visits), self.event is not None, bool(self.dates)]) != 1:
            raise ValueError("an index is one of: visits, event, dates")
        if not self.visits and (self.still_in or self.at == "end"):
            raise ValueError("only visits have an end")
        return self


class OutcomeOptions(Strict):
    """What is predicted."""

    event: str | None = Field(default=None, description="Name of an event")
    stay_days: float | None = Field(
        default=None,
        gt=0,
        le=CENTURY,
        description="In place of an event: the visit lasts so many days or more",
    )
    days: tuple[int, int] = Field(
        default=(1, 365), description="Days after the day of the prediction: from, and to"
    )
    until_discharge: bool = Field(
        default=False, description="The horizon also ends with the day of discharge"
    )
    first_ever: bool = Field(default=False, description="Leave out persons who had it before")
    washout: int | None = Field(
        default=None,
        ge=1,
        le=CENTURY,
        description="Leave out persons who had it on the day of the prediction, or so many days before it",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "OutcomeOptions":
        if (self.event is None) == (self.stay_days is None):
            raise ValueError("an outcome has either 'event' or 'stay_days'")
        fields = type(self).model_fields
        of_events = ("days", "until_discharge", "first_ever", "washout")
        idle = [name for name in of_events if getattr(self, name) != fields[name].default]
        if self.stay_days is not None and idle:
            logger.warning("outcome: with stay_days, %s has no effect.", ", ".join(idle))
        if not 0 <= self.days[0] <= self.days[1] <= CENTURY:
            raise ValueError("days are from and to, 0 or later, and of a century at most")
        return self


class FollowUpOptions(Strict):
    """Who counts as followed, and what becomes of those who are not."""

    ends: Literal["last_record", "end_of_data"] = Field(
        default="last_record",
        description="Until when a person is followed: to the person's last record, or to the end of the data",
    )
    incomplete: Literal["censored", "exclude", "negative"] = Field(
        default="censored",
        description="A person followed for less than `outcome.days` is left out unless the outcome was seen "
        "(censored), is left out in any case (exclude), or counts as without the outcome (negative)",
    )
    death: Literal["negative", "censored", "exclude", "outcome"] = Field(
        default="censored",
        description="A death before the end of `outcome.days` and before the outcome counts as no outcome "
        "(negative), as the end of the follow-up (censored), leaves the person out, or is the outcome",
    )
    measured: str | None = Field(
        default=None,
        description="An event, such as any lab result, that has to be recorded within `outcome.days`: "
        "persons with neither it nor the outcome are left out",
    )


class TaskOptions(Strict):
    """A prediction task; a list of them is several outcomes of one model."""

    name: str = Field(pattern=r"^\w+$", description="Name of the task, in `labels`")
    source: str = Field(default="", description="Where the definition comes from")
    events: dict[str, EventDefinition] = Field(
        default_factory=dict, description="Events by name, for the other parts: see docs/labels.md"
    )
    merge_hours: float = Field(
        default=0,
        ge=0,
        le=24 * CENTURY,
        description="Visits of the same types count as one if they are at most so many hours apart",
    )
    index: IndexOptions = Field(
        default=REQUIRED_WITHOUT_ACES, description="When a risk is predicted"
    )
    outcome: OutcomeOptions = Field(default=REQUIRED_WITHOUT_ACES, description="What is predicted")
    follow_up: FollowUpOptions = Field(
        default=FollowUpOptions(), description="Who counts as followed"
    )
    min_events: int = Field(
        default=20, ge=1, description="Fewest labels with and without the outcome"
    )
    aces: str | None = Field(
        default=None,
        description="A task file of ACES in place of events, index and outcome, for --env=meds",
    )
    aces_predicates: str | None = Field(
        default=None, description="A file of predicates that replace those of `aces`"
    )

    def named(self) -> Iterator[tuple[str, str]]:
        """Yield the events that the parts name, each with the parameter that does."""
        if self.aces is not None:
            return
        yield from ((name, "index.event") for name in [self.index.event] if name)
        yield from ((name, "index.having") for name in self.index.having)
        yield from ((name, "index.without") for name in self.index.without)
        yield from ((name, "outcome.event") for name in [self.outcome.event] if name)
        yield from ((name, "follow_up.measured") for name in [self.follow_up.measured] if name)
        for event, definition in self.events.items():
            yield from ((name, f"events.{event}.any_of") for name in definition.any_of)

    def leaves(self, name: str) -> list[str]:
        """Return the events that one is made of: itself, or those of its ``any_of``."""
        return list(self.events[name].any_of) or [name]

    @property
    def uses_visits(self) -> bool:
        """Whether the task needs the table of visits."""
        at_visits = self.aces is None and bool(self.index.visits)
        return at_visits or any(event.visits for event in self.events.values())

    @property
    def uses_deaths(self) -> bool:
        """Whether death is the outcome, or may be."""
        events = [*self.events.values()]
        return self.follow_up.death == "outcome" or any(event.death for event in events)

    @model_validator(mode="after")
    def _names_are_free(self) -> "TaskOptions":
        if self.name in PER_SAMPLE:
            raise ValueError("a task cannot have the name of a column of samples: rename it")
        times = Counter(name.casefold() for name in self.events)
        if alike := [name for name in self.events if times[name.casefold()] > 1]:
            raise ValueError(
                f"events {', '.join(alike)} differ in case alone, which engines do not see: rename them"
            )
        return self

    @model_validator(mode="after")
    def _one_language(self) -> "TaskOptions":
        given = self.model_fields_set
        if self.aces is not None and (both := sorted(given - OF_ACES)):
            raise ValueError(f"the file of aces says all of the task: leave out {', '.join(both)}")
        if self.aces is None and (missing := {"index", "outcome"} - given):
            raise ValueError(f"a task needs {' and '.join(sorted(missing))}, or aces")
        return self

    @model_validator(mode="after")
    def _parts_agree(self) -> "TaskOptions":
        if self.aces is not None:
            return self
        for name, where in self.named():
            if name not in self.events:
                known = ", ".join(self.events) or "none"
                raise ValueError(f"{where} names {name!r}, and the events are {known}")
        for name, event in self.events.items():
            if any(self.events[part].any_of for part in event.any_of):
                raise ValueError(f"events.{name}.any_of names an event that has any_of itself")
        outcome = self.outcome
        if not self.index.visits and (outcome.stay_days or outcome.until_discharge):
            raise ValueError("stay_days and until_discharge need index.visits")
        if self.index.event and outcome.event and self._outcome_is_the_index():
            raise ValueError(
                f"the index uses the outcome itself: index.event {self.index.event!r} is part of "
                f"outcome.event {outcome.event!r}, so the answer would be known when it is asked"
            )
        return self

    def _outcome_is_the_index(self) -> bool:
        index, outcome = self.index.event, self.outcome.event
        assert index is not None and outcome is not None
        return bool({*self.leaves(index)} & {*self.leaves(outcome)})


class Tasks(RootModel[tuple[TaskOptions, ...]]):
    """One prediction task, or a list of several, each with a name of its own."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _each_by_its_name(cls, given: Any) -> Any:
        """Read each task; what is wrong with one is said with its name."""
        several = [given] if isinstance(given, Mapping | TaskOptions) else given
        return [*map(_read, several)] if isinstance(several, list | tuple) else several

    @model_validator(mode="after")
    def _names_differ(self) -> "Tasks":
        names = Counter(task.name for task in self.root)
        if not names or max(names.values()) > 1:
            twice = ", ".join(name for name, times in names.items() if times > 1)
            raise ValueError(f"two tasks are called {twice}" if twice else "an empty list of tasks")
        return self


def _read(task: Any) -> TaskOptions:
    try:
        return TaskOptions.model_validate(task)
    except ValidationError as error:
        faults = [
            ": ".join([*[".".join(map(str, one["loc"]))] * bool(one["loc"]), one["msg"]])
            for one in error.errors()
        ]
        name = task.get("name") if isinstance(task, Mapping) else task
        raise ValueError(f"task {name}: {'; '.join(faults)}") from None


class LabelPipelineOptions(Strict):
    """How ``label`` reads visits and deaths, and what it shows."""

    tables: dict[Literal["visit", "death"], TableSource] = Field(
        default_factory=dict,
        description="The SQL that reads each: visit gives person_id, start_time, end_time, type; death gives "
        "person_id, time",
    )
    min_persons: int = Field(
        default=10, ge=1, description="Fewest persons for anything that a figure or table shows"
    )
