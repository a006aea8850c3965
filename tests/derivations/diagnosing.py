"""A made derivation, diagnosed without being proved first: where it differs at a few points is all that is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from derivations.generator import FAMILIES, Derivation, derivation
from symgrad.checking.comparison import compare_at
from symgrad.checking.exploration import Findings, branch_at
from symgrad.checking.verdicts import Agrees, Refuted, Witness
from symgrad.diagnosis.steps import Diagnosis, diagnose
from symgrad.problem.question import Asked, Problem, pose
from symgrad.problem.sampling import neighbours


def problem_of(made: Derivation) -> Problem:
    return pose(made.model, made.hand, Asked(list(made.wrt), dict(made.at), points=4))


def looked_at(problem: Problem) -> Findings:
    """What `judge` sees at its first points, with no proof tried."""
    point = problem.inputs.point
    own = branch_at(problem, point)
    found = Findings(own, compare_at(own, point, problem.wrt), [own])
    for other in neighbours(problem.inputs, 3, problem.seed):
        if branch_at(problem, other, found.branches) is own:
            found.looks.append((own, compare_at(own, other, problem.wrt)))
    for pair in own.pairs:
        seen = [s.views[pair.name].state for _, s in found.looks if pair.name in s.views]
        wrong = pair.hand is None or "differs" in seen
        witness = Witness(point, None, "", "", "differs")
        found.verdicts[pair.name] = Refuted(witness) if wrong else Agrees(len(seen), 180, None, "not tried", None)
    return found


def diagnosed(made: Derivation) -> tuple[bool, Diagnosis]:
    """Whether the derivation was refuted, and its diagnosis."""
    problem = problem_of(made)
    found = looked_at(problem)
    return any(v.kind == "refuted" for v in found.verdicts.values()), diagnose(problem, found)


def measure(seeds: Iterable[int], slips: int, families: Iterable[str] = FAMILIES) -> tuple[Counter[str], list[str]]:
    """How many derivations were made, detected and located exactly; and those that were not, in words."""
    count: Counter[str] = Counter()
    missed = []
    families = tuple(families)
    for seed in seeds:
        for family in families:
            made = derivation(seed, family, slips)
            if made is None:
                continue
            refuted, diagnosis = diagnosed(made)
            count["made"] += 1
            count["refuted"] += refuted
            count["accused"] += bool(diagnosis.wrong_steps)
            exact = diagnosis.wrong_steps == made.faulty
            count["exact"] += exact
            for kind in set(made.kinds):
                count[f"kind {kind}"] += 1
            if not exact:
                missed.append(f"{seed} {family} {made.kinds}: {made.faulty}, found {diagnosis.wrong_steps}")
    return count, missed
