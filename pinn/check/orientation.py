"""How the positions lie against the frames: what the test found, and the way to it.

The test itself (`pinn.check.ranking`) is on the forward model, and so on Keras; it is loaded when
it is run, and nothing else of `pinn.check` needs it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pinn.check.symmetry import Choice

UNEXPLAINED = 1.5  # times the R factor of counting noise, from which on frames are not explained
ALIKE = 1.5  # times the R factor of the best class, below which the next one is hardly worse


@dataclass(frozen=True)
class ClassScore:
    """One of the four classes.

    Attributes:
        name: what it does to the positions.
        members: the eight choices, fewest changes first.
        r_factor: root of the squared amplitude error over the power, of predicted frames.
        margin: that it is worse than the best, in standard errors; 0 for the best.
    """

    name: str
    members: tuple[Choice, ...]
    r_factor: float
    margin: float


@dataclass(frozen=True)
class Angle:
    """Positions turned by an angle that the centres of mass asked for.

    Attributes:
        angle_deg: from +x towards +y, beyond the options given; refined if it is better.
        r_factor, given_r_factor: of the best class with it, and without.
        margin: that it is better, in standard errors.
        better: whether that tells; classes and members are then those of the turned positions.
        single: whether half a turn more is worse; only where the classes tell nothing.
    """

    angle_deg: float
    r_factor: float
    given_r_factor: float
    margin: float
    better: bool
    single: bool | None = None


@dataclass(frozen=True)
class Late:
    """Frames that are out of step with the positions.

    Attributes:
        frames: places that they come too late: position i belongs to frame i + this.
        r_factor, given_r_factor: with this shift, and as given.
        margin: between the two in standard errors.
    """

    frames: int
    r_factor: float
    given_r_factor: float
    margin: float


@dataclass(frozen=True)
class Scale:
    """Outcome of the test.

    Attributes:
        factor: that the positions should be multiplied by; 1 unless another is clearly better.
        r_factor, given_r_factor: with this factor, and as given; None if no other was in sight.
        margin: between the two in standard errors.
    """

    factor: float
    r_factor: float | None
    given_r_factor: float | None
    margin: float | None


@dataclass(frozen=True)
class Orientation:
    """What the test found.

    Attributes:
        classes: in the fixed order of `pinn.check.symmetry.CLASS_NAMES`; the first is as given.
        best: number of the likeliest class.
        decided: the data tell it from the others.
        rivals: numbers of the classes that the data cannot tell from the best.
        agreement: regions in which the best class is the best, and regions looked at.
        members: members of the best class that are as likely as each other; fewest changes first.
        member_margin: standard errors to the best one left out; None if none was.
        probe: `fits` (the given probe explains the frames and could tell members apart),
            `blind` (it fits, but is its own image), `poor` (it does not fit), `none`.
        free_r_factor, probe_r_factor: with a fitted probe, and with the given one (None without).
        angles: tried besides the positions as given.
        turn: of the centres of mass, or half a turn more, where the classes are not decided.
        scale: of the positions; None if the class is not decided.
        noise: R factor that counting noise alone would give; None where no counts are known.
        late: shift of frames against positions that explains them far better, or None.
        frames, side: numbers of frames used, and their side after the crop.
        seconds: taken.
    """

    classes: tuple[ClassScore, ...]
    best: int
    decided: bool
    rivals: tuple[int, ...]
    agreement: tuple[int, int]
    members: tuple[Choice, ...]
    member_margin: float | None
    probe: str
    free_r_factor: float
    probe_r_factor: float | None
    scale: Scale | None
    frames: int
    side: int
    seconds: float
    angles: tuple[Angle, ...] = ()
    turn: Angle | None = None
    noise: float | None = None
    late: Late | None = None

    @property
    def rotation_deg(self) -> float:
        """By which the positions are turned before a choice is made; 0 unless that is better."""
        return next((a.angle_deg for a in reversed(self.angles) if a.better), 0.0)

    @property
    def unexplained(self) -> bool:
        """Whether no arrangement explains the frames: undecided, and all are far from noise."""
        undecided = not self.decided and self.late is None
        return undecided and self.noise is not None and self.beyond(self.noise)

    def beyond(self, noise: float) -> bool:
        """Whether all classes are far from an R factor of noise, and alike."""
        second = min(s.r_factor for k, s in enumerate(self.classes) if k != self.best)
        far = self.free_r_factor > UNEXPLAINED * noise
        return far and second < ALIKE * self.free_r_factor

    @property
    def choice(self) -> Choice:
        """The member that changes least."""
        return self.members[0]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""

        def plain(choice: Choice) -> dict[str, str]:
            return {"orientation": choice.orientation, "flip_frames": choice.flip}

        return {
            "classes": [
                {
                    "name": score.name,
                    "members": [plain(choice) for choice in score.members],
                    "r_factor": score.r_factor,
                    "margin_sigma": score.margin,
                }
                for score in self.classes
            ],
            "best": self.classes[self.best].name,
            "decided": self.decided,
            "rivals": [self.classes[number].name for number in self.rivals],
            "regions_agreeing": list(self.agreement),
            "equally_likely_members": [plain(choice) for choice in self.members],
            "member_margin_sigma": self.member_margin,
            "probe": self.probe,
            "free_probe_r_factor": self.free_r_factor,
            "given_probe_r_factor": self.probe_r_factor,
            "rotation_deg": self.rotation_deg,
            "angles": [asdict(angle) for angle in self.angles],
            "turn": None if self.turn is None else asdict(self.turn),
            "noise_r_factor": self.noise,
            "late": None if self.late is None else asdict(self.late),
            "scale": None if self.scale is None else asdict(self.scale),
            "frames": self.frames,
            "side": self.side,
            "seconds": self.seconds,
        }
