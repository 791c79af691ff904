"""One honest sentence on how far a result can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field

from pinn.quality.facts import Facts

# Measured on a battery of right and wrong results, see docs/trust.md. Shares are of what the object
# does to the frames.
UNLIKE = 3.0
_FOREIGN = 10.0
_UNEXPLAINED = {True: 0.01, False: 0.5}  # of an object that was fitted, and of one predicted
_NOT_EXPLAINED = {True: 0.5, False: 1.0}
_COVERED = 0.98  # share of the scan area
_DIFFERING = 0.25  # spread of the patches, of the object's modulus
_AT_ODDS = 0.5  # likewise: more than half of what is seen is not agreed on
_AGREEING = 0.05  # cycles per pixel
_REDUNDANT = 4.0  # measured numbers for each unknown
_DETERMINED = 2.0
_OVERLAPPING = 1.3  # frames over a pixel
_TOO_WELL = 0.5  # of the noise floor
_CAUSES = (
    "positions, pixel size, orientation or probe may be wrong, or there are too few probe modes"
)


@dataclass
class _Said:
    """Parts of the sentence."""

    bad: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    fine: list[str] = field(default_factory=list)

    def add(self, words: str, doubt: bool, condemn: bool = False) -> None:
        (self.bad if condemn else self.doubtful if doubt else self.fine).append(words)


def unfinished(where: str) -> str:
    """The sentence for what is only on its way."""
    return f"unfinished, {where}: what there was by then, not judged"


def verdict(facts: Facts) -> str:
    """The sentence: how it stands, then what speaks against the result, then what for it."""
    said = _Said()
    _of_origin(facts, said)
    _of_redundancy(facts, said)
    _of_fit(facts, said)
    if facts.disagreement is not None:
        said.add(
            f"patches over a pixel differ by {facts.disagreement:.2g} of the object's modulus",
            facts.disagreement > _DIFFERING,
            facts.disagreement > _AT_ODDS,
        )
    if facts.agreement is not None:
        words = _agreement(facts.agreement, facts.independent)
        said.add(words, facts.agreement < _AGREEING)
    if said.bad:
        head = "Not to be trusted"
    elif said.doubtful:
        head = "To be looked at with care"
    elif said.fine:
        head = "Nothing measured speaks against it"
    else:
        head = "Nothing is known of its quality"
    against, fine = "; ".join([*said.bad, *said.doubtful]), ", ".join(said.fine)
    told = [part for part in (against, fine) if part]
    return (f"{head}: {'; otherwise '.join(told)}" if told else head) + "."


def _of_origin(facts: Facts, said: _Said) -> None:
    if facts.unlike is not None and facts.unlike > UNLIKE:
        said.add(
            "the scan is unlike those the model was trained on (its frames are explained "
            f"{facts.unlike:.2g} times worse than those of training)",
            doubt=True,
            condemn=facts.unlike > _FOREIGN,
        )
    if facts.contrast_failed:
        said.bad.append("no plausible contrast of the object explains the frames")
    if facts.stopped:
        said.doubtful.append("the work was stopped before its end")


def _of_redundancy(facts: Facts, said: _Said) -> None:
    if facts.covered is not None and facts.covered < _COVERED:
        words = f"only {facts.covered:.0%} of the scan area is covered"
        said.add(words, True, condemn=facts.covered < 0.5)
    if facts.fitted and facts.frames == 1:
        said.bad.append("one frame alone does not determine an object")
    elif facts.redundancy is not None and facts.redundancy < _REDUNDANT:
        said.add(
            f"there are only {facts.redundancy:.2g} measured numbers for each unknown one, so that "
            "many objects explain the frames",
            doubt=True,
            condemn=facts.redundancy < _DETERMINED,
        )
    elif facts.fitted and facts.visits is not None and facts.visits < _OVERLAPPING:
        said.doubtful.append("neighbouring frames hardly overlap")


def _of_fit(facts: Facts, said: _Said) -> None:
    """How well the frames are explained, beside counting noise and beside no object at all."""
    if facts.flagged:
        count = f"{facts.flagged} of {facts.frames} frames {'is' if facts.flagged == 1 else 'are'}"
        said.doubtful.append(f"{count} explained far worse than most")
    if facts.object_is_seen is False:
        said.doubtful.append(
            "the frames differ by no more than counting noise, so that little of the object is seen"
        )
    elif facts.fitted and facts.agreement is None and facts.below_noise:
        said.doubtful.append(
            "the object changes the frames by less than counting noise does, and no halves were "
            "compared: fine detail may be noise"
        )
    excess = None
    if facts.deviance is not None and facts.noise_floor:
        excess = facts.deviance / facts.noise_floor
    if excess is not None and excess < _TOO_WELL:
        over = (facts.held_out or 0.0) > (facts.noise_floor or 0.0)
        said.add(
            "the fitted pixels are explained better than counting noise allows, and others worse: "
            "noise was fitted"
            if over
            else "the deviance of the frames is less than counting noise would make it",
            doubt=over,
        )
        return
    beyond = "" if excess is None else f"the deviance is {excess:.2g} times that of counting noise"
    share = facts.unexplained
    if share is not None and share > _UNEXPLAINED[facts.fitted]:
        words = (
            "the frames are explained worse than by one pattern for all of them"
            if share > 1
            else f"{share:.2g} of what the object does to the frames is not explained"
        )
        more = f" ({beyond})" if beyond else ""
        condemn = share > _NOT_EXPLAINED[facts.fitted]
        said.add(f"{words}{more}: {_CAUSES}", True, condemn)
    elif beyond:
        said.fine.append(beyond)


def _agreement(frequency: float, independent: bool) -> str:
    if independent:
        return (
            f"independent halves agree up to {frequency:.2g} cycles per pixel (half a period of "
            f"{0.5 / max(frequency, 1e-3):.2g} px), which an error common to both would not show"
        )
    return (
        f"two halves agree up to {frequency:.2g} cycles per pixel, which is consistency of one "
        "method and no resolution"
    )
