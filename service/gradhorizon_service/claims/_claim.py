"""What a claim is, and how one becomes a task: its requests as tasks of their own, run together, and the judgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from gradhorizon.schemas import Claim as ClaimReport
from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.analysis.canonical import arrays_sha256, request_id
from gradhorizon_service.analysis.checking import within_cost
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.errors import Fault, RequestRefused
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.reading import read_request
from gradhorizon_service.analysis.tasks import OPERATIONS, Task, provenance
from gradhorizon_service.charts import Spec
from gradhorizon_service.worker.sequence import SequenceProblem

from ._judgement import Criterion, Judgement, Point

P = TypeVar("P", bound=ClaimParameters)
Answers = Mapping[str, Any]
"""Name of a question -> the report that answers it; questions that nothing was left of are missing."""


@dataclass(frozen=True)
class Question:
    """One public request, in the words of the contract.

    Where parts of it come from an earlier answer, `completed_by` says which and from where, and `completion` makes the
    worker's problem wait for them; `body` then holds placeholders of the same size there, which are not shown.
    """

    name: str
    path: str
    body: dict[str, Any]
    completed_by: Mapping[str, str] = field(default_factory=dict)
    completion: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Claim(Generic[P]):
    """A sentence and everything that decides whether it is true.

    `criterion` is known before anything is run; `judge` is a function of the parameters and of public reports alone.
    """

    name: str
    sentence: str
    parameters: type[P]
    criterion: Callable[[P], Criterion]
    ask: Callable[[P], Sequence[Question]]
    judge: Callable[[P, Answers], Judgement]
    draw: Callable[[Sequence[Point]], Spec]

    def prepare(self, parameters: P, limits: Limits, costs: Costs) -> ClaimTask:
        """Prepare every request behind the claim. Raises RequestRefused."""
        questions = self.ask(parameters)
        unlimited = replace(limits, sync_seconds=float("inf"))  # they are checked together
        tasks = {question.name: _prepared(question, unlimited, costs) for question in questions}
        seconds = sum(task.estimated_seconds for task in tasks.values())
        within_cost(seconds, limits, "choose smaller parameters: fewer seeds, steps or lengths")
        steps = {
            question.name: (task.function, _problem(question, task))
            for question, task in zip(questions, tasks.values(), strict=True)
        }
        identity = {"claim": self.name, **{name: task.id for name, task in tasks.items()}}
        return ClaimTask(
            request_id(parameters, identity),
            seconds,
            SequenceProblem(steps),
            arrays_sha256(parameters),
            self,
            parameters,
            tuple(questions),
            tasks,
        )


@dataclass(frozen=True, eq=False)
class ClaimTask:
    """POST /v1/claims/{name}."""

    id: str
    estimated_seconds: float
    problem: SequenceProblem
    inputs_sha256: str
    claim: Claim[Any]
    parameters: ClaimParameters
    questions: tuple[Question, ...]
    tasks: Mapping[str, Task]

    function = "sequence"

    def report(self, result: Mapping[str, Any], seconds: float) -> ClaimReport:
        """Read every result as the report of its request, and judge."""
        answers = {
            name: task.report(result[name], seconds)
            for name, task in self.tasks.items()
            if result[name] is not None
        }
        claim, parameters = self.claim, self.parameters
        judgement = claim.judge(parameters, answers)
        return ClaimReport.model_validate(
            {
                "id": self.id,
                "name": claim.name,
                "sentence": claim.sentence,
                "criterion": claim.criterion(parameters),
                "parameters": parameters.model_dump(),
                "requests": [_shown(question) for question in self.questions],
                "numbers": judgement.numbers,
                "verdict": judgement.verdict,
                "reason": judgement.reason,
                "when": judgement.when,
                "points": judgement.points,
                "chart": claim.draw(judgement.points),
                "assumptions": list(judgement.assumptions),
                "warnings": list(judgement.warnings),
                "provenance": provenance(parameters.seed, seconds, {}, self.inputs_sha256),
            }
        )


def _prepared(question: Question, limits: Limits, costs: Costs) -> Task:
    operation = OPERATIONS[question.path]
    try:
        task: Task = operation.prepare(read_request(operation.request, question.body, {}), limits, costs)
    except RequestRefused as error:
        where = f"makes the request '{question.name}' to {question.path}, which is refused: {error.message}"
        error.faults, error.message, error.args = (Fault("$", where),), f"$: {where}", (f"$: {where}",)
        raise
    return task


def _problem(question: Question, task: Task) -> Any:
    return task.problem if question.completion is None else question.completion(task.problem)


def _shown(question: Question) -> dict[str, Any]:
    filled_later = {path.removeprefix("$.") for path in question.completed_by}
    return {
        "name": question.name,
        "method": "POST",
        "path": question.path,
        "body": {name: value for name, value in question.body.items() if name not in filled_later},
        "completed_by": dict(question.completed_by),
    }
