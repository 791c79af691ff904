"""`RawData`: what a caller measured, and the groups of its frames.

The arrays keep the original's names, order and frame: `xcoords` is the column and `ycoords` the
row of a patch's middle in object pixels. A `pinn.Scan` is made from them when one is needed, and
with it come the rules for counts and amplitudes, bad pixels and probe modes.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pinn
from pinn.errors import ConfigError, ScanError
from pinn.io.formats.npz_writer import write_scan_npz
from ptycho._dictionary import LEGACY
from ptycho._grouped import Grouped
from ptycho._ptychodus import in_ptychodus, middle_for_ptychodus, of_ptychodus
from ptycho._simulated import amplitudes

if TYPE_CHECKING:
    from pinn.data.scan import Scan

_log = logging.getLogger("ptycho")
_SEED = 0  # where the caller gives none; the original's draws are then those of a global generator


class RawData:
    """Frames, positions and probe of one scan.

    Args:
        xcoords, ycoords: `(M,)` in object pixels, column and row of index N/2 of each patch.
        xcoords_start, ycoords_start: the nominal ones; default: the same.
        diff3d: `(M, N, N)` real, counts or amplitude, see `units`.
        probeGuess: `(N, N)` or `(modes, N, N)` complex.
        scan_index: `(M,)`; groups never mix frames of different values, unless all differ.
        objectGuess: `(H, W)` complex: labels for supervised training, else not looked at.
        Y: `(M, N, N)` complex, the object under each frame, likewise.
        norm_Y_I: kept as it is.
        metadata: kept as it is.
        bad_pixels: `(N, N)` or `(M, N, N)` bool, True = not to be used.
        units: `counts`, `intensity`, `amplitude`, or `auto`: integers and whole numbers above 1
            are counts.

    Attributes:
        centred_on: `mean` or `midrange` of the positions: where a stitched object has its middle.
        sample_indices, subsample_seed: of `load_data`, else None.

    Raises:
        ScanError: a part has a wrong shape, type or value; said when the scan is first needed.
    """

    def __init__(
        self,
        xcoords: Any,
        ycoords: Any,
        xcoords_start: Any = None,
        ycoords_start: Any = None,
        diff3d: Any = None,
        probeGuess: Any = None,
        scan_index: Any = None,
        objectGuess: Any = None,
        Y: Any = None,
        norm_Y_I: Any = None,
        metadata: Any = None,
        *,
        bad_pixels: Any = None,
        units: str = "auto",
    ) -> None:
        self.xcoords = np.asarray(xcoords, np.float64).reshape(-1)
        self.ycoords = np.asarray(ycoords, np.float64).reshape(-1)
        self.xcoords_start = self.xcoords if xcoords_start is None else np.asarray(xcoords_start)
        self.ycoords_start = self.ycoords if ycoords_start is None else np.asarray(ycoords_start)
        self._frames: Any = None if diff3d is None else np.asarray(diff3d)
        self.probeGuess = None if probeGuess is None else np.asarray(probeGuess)
        self.scan_index = None if scan_index is None else np.asarray(scan_index)
        self.objectGuess = None if objectGuess is None else np.asarray(objectGuess)
        self.Y, self.norm_Y_I, self.metadata = Y, norm_Y_I, metadata
        self.bad_pixels = bad_pixels
        self.units, self.centre = units, "auto"
        self.centred_on = "mean"
        self.sample_indices: np.ndarray | None = None
        self.subsample_seed: int | None = None
        self._scans: dict[Any, Scan] = {}
        self._extra: dict[str, Any] = {}
        self._name = "raw data"
        self._source: Path | None = None
        self._told: set[str] = set()
        if len(self.xcoords) != len(self.ycoords):
            raise ScanError(
                f"xcoords has {len(self.xcoords)} values and ycoords {len(self.ycoords)}; one of "
                "each per frame is required"
            )
        if self._frames is not None and len(self._frames) != len(self.xcoords):
            raise ScanError(
                f"diff3d has {len(self._frames)} frames, but there are {len(self.xcoords)} "
                "positions; one per frame is required"
            )

    # -- making one ----------------------------------------------------------------------

    @classmethod
    def from_coords_without_pc(
        cls,
        xcoords: Any,
        ycoords: Any,
        diff3d: Any,
        probeGuess: Any,
        scan_index: Any,
        objectGuess: Any = None,
    ) -> RawData:
        """From arrays, without nominal positions; see the class.

        An object stitched from it has the midrange of its positions in its middle. ptychodus puts
        the middle of any result at the centre of the object it came with, `objectGuess`: in its
        processes that is in the middle.
        """
        made = cls(xcoords, ycoords, None, None, diff3d, probeGuess, scan_index, objectGuess)
        made.centred_on = "midrange"
        if made.objectGuess is not None and in_ptychodus():
            made._middle = middle_for_ptychodus(made.objectGuess.shape, made.positions)
        return made

    @classmethod
    def from_simulation(
        cls, xcoords: Any, ycoords: Any, probeGuess: Any, objectGuess: Any, scan_index: Any = None
    ) -> RawData:
        """Frames of a known object, with the noise of `nphotons`; see `ptycho._simulated`."""
        made = cls(
            xcoords,
            ycoords,
            diff3d=amplitudes(xcoords, ycoords, probeGuess, objectGuess),
            probeGuess=probeGuess,
            scan_index=scan_index,
            objectGuess=objectGuess,
            units="amplitude",
        )
        made._extra["photons_per_frame"] = float(LEGACY.get("nphotons"))
        return made

    @classmethod
    def from_file(cls, train_data_file_path: str | Path, validate_config: Any = None) -> RawData:
        """From a scan file: the PtychoPINN NPZ, `bad_pixels` included, or any other `pinn` reads.

        Args:
            train_data_file_path: the file; its frames are read when they are needed.
            validate_config: a configuration whose N must be that of the frames.

        Raises:
            ScanError: the file is missing, foreign, damaged, or breaks its contract.
            ConfigError: another N.
        """
        path = Path(train_data_file_path)
        scan = pinn.load(path)
        made = cls._of_scan(scan)
        if of_ptychodus(path):
            made._extra["truth_origin_px"] = (-0.5, -0.5)
        wanted = getattr(getattr(validate_config, "model", validate_config), "N", None)
        if wanted and wanted != scan.N:
            raise ConfigError(
                f"{path} has frames of {scan.N} x {scan.N}, but the configuration has N {wanted}; "
                "set N to that of the frames"
            )
        return made

    @classmethod
    def from_files(cls, train: str | Path, test: str | Path) -> tuple[RawData, RawData]:
        """Two of them."""
        return cls.from_file(train), cls.from_file(test)

    @classmethod
    def _of_scan(cls, scan: Scan) -> RawData:
        nominal = scan.positions_px
        if scan.positions_nominal_px is not None:
            nominal = scan.positions_nominal_px
        probe = scan.probe
        if probe is not None and len(probe) == 1:
            probe = probe[0]
        made = cls(
            scan.positions_px[:, 1],
            scan.positions_px[:, 0],
            nominal[:, 1],
            nominal[:, 0],
            probeGuess=probe,
            scan_index=scan.scan_index,
            objectGuess=scan.truth,
            Y=scan.label_patches,
            units=scan.units,
        )
        made._frames, made.centre = scan.frames, "centred"
        made._valid_mask = scan.valid_mask
        made._name, made._source = scan.name, scan.source
        made._extra = {
            "truth_origin_px": scan.truth_origin_px,
            "pixel_size_m": scan.pixel_size_m,
            "energy_ev": scan.energy_ev,
            "distance_m": scan.distance_m,
            "detector_pixel_m": scan.detector_pixel_m,
            "particle": scan.particle,
            "saturation": scan.saturation,
            "photons_per_frame": scan.photons_per_frame,
            "notes": scan.notes,
            "steps": scan.steps,
            "files": scan.files,
        }
        return made

    _valid_mask: Any = None
    _middle: np.ndarray | None = None

    # -- what it holds -------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.xcoords)

    @property
    def diff3d(self) -> np.ndarray:
        """Frames `(M, N, N)` as they are stored."""
        if not isinstance(self._frames, np.ndarray):
            if self._frames is None:
                raise ScanError("this RawData has no frames; give diff3d")
            self._frames = self._frames.read(np.arange(len(self)))
        return self._frames

    @diff3d.setter
    def diff3d(self, frames: Any) -> None:
        self._frames = np.asarray(frames)
        self._scans.clear()

    @property
    def positions(self) -> np.ndarray:
        """`(M, 2)` float64 [y, x]."""
        return np.stack([self.ycoords, self.xcoords], axis=1).astype(np.float64)

    @property
    def anchor(self) -> np.ndarray:
        """(y, x) that comes to lie in the middle of a stitched object."""
        if self._middle is not None:
            return self._middle
        places = self.positions
        if self.centred_on == "mean":
            return places.mean(0)
        return (places.min(0) + places.max(0)) / 2

    @property
    def valid_mask(self) -> Any:
        """bool, True = use the pixel, `(N, N)` or one per frame; or None."""
        if self.bad_pixels is not None:
            return ~np.asarray(self.bad_pixels).astype(bool)
        return self._valid_mask

    def scan(self, photons: float | None = None) -> Scan:
        """The same for `pinn`.

        Args:
            photons: per frame, of frames that are no counts.

        Raises:
            ScanError: a part breaks the contract.
        """
        key = (photons, self.positions.tobytes())
        if key in self._scans:
            return self._scans[key]
        if self._frames is None:
            raise ScanError("this RawData has no frames; give diff3d")
        extra = dict(self._extra)
        if photons is not None:
            extra["photons_per_frame"] = photons
        nominal = np.stack([self.ycoords_start, self.xcoords_start], axis=1)
        labels = None if self.Y is None or len(self.Y.shape) != 3 else self.Y
        scan = pinn.Scan(
            self._frames,
            self.positions,
            probe=self.probeGuess,
            valid_mask=self.valid_mask,
            units=self.units,
            centre=self.centre,
            truth=self.objectGuess,
            label_patches=labels,
            scan_index=self._index(),
            positions_nominal_px=None if np.array_equal(nominal, self.positions) else nominal,
            name=self._name,
            source=self._source,
            **extra,
        )
        self._say(scan.notes)
        self._scans[key] = scan
        return scan

    def _index(self) -> np.ndarray | None:
        index = self.scan_index
        if index is None or len(np.unique(index)) in (1, len(index)):
            return None  # a running number is no scan index
        return index

    def _say(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            if note not in self._told:
                self._told.add(note)
                _log.info("%s: %s", self._name, note)

    # -- groups --------------------------------------------------------------------------

    def generate_grouped_data(
        self,
        N: int,
        K: int = 4,
        nsamples: int | None = 1,
        dataset_path: str | None = None,
        seed: int | None = None,
        sequential_sampling: bool = False,
        gridsize: int | None = None,
        enable_oversampling: bool = False,
        neighbor_pool_size: int | None = None,
    ) -> Grouped:
        """Groups of `gridsize` squared neighbouring frames, drawn as the original draws them.

        Args:
            N: side of a frame, checked against the frames; 0 is not.
            K: nearest frames that members are drawn from.
            nsamples: number of groups. 1, the original's default and that of ptychodus, and None
                mean one group per frame, which the log says.
            dataset_path: not used.
            seed: of the draws; without one they are the same every time.
            sequential_sampling: the first frames, in order.
            gridsize: default that of the legacy dictionary.
            enable_oversampling: more groups than frames, all combinations of the nearest.
            neighbor_pool_size: K where more groups than frames are asked for.

        Returns:
            `diffraction` `(B, N, N, C)` as stored, `X_full` `(B, N, N, C)` float32 amplitude of
            mean energy `(N/2)^2`, `Y` complex64 or None, `coords_offsets` `(B, 1, 2, 1)` float64
            [x, y] middle of each group, `coords_relative` `(B, 1, 2, C)` float64, minus each
            member's distance from it, both also as `coords_start_*`, `coords_nn` and
            `coords_start_nn` absolute, `nn_indices` `(B, C)`, `objectGuess`, and
            `sample_indices` where frames were left out.

        Raises:
            ConfigError: numbers that the rules do not allow.
            ScanError: too few frames, or a scan that breaks the contract.
        """
        from pinn.data.legacy_grouping import legacy_indices

        side = int(LEGACY.get("gridsize")) if gridsize is None else gridsize
        if side < 1:
            raise ConfigError(f"gridsize is {side!r}, but a whole number of at least 1 is required")
        scan = self.scan()
        if N and N != scan.N:
            raise ConfigError(
                f"groups of frames of {N} x {N} were asked for, but the frames are {scan.N} x "
                f"{scan.N}; set N to that"
            )
        wanted = len(self) if nsamples is None or nsamples <= 1 else nsamples
        if nsamples is not None and nsamples <= 1 < len(self):
            _log.info(
                "nsamples %s means all: one group for each of the %s frames", nsamples, wanted
            )
        more = enable_oversampling and wanted > len(self) and side > 1
        members = legacy_indices(
            self.positions,
            side**2,
            wanted,
            max(1, K) if side == 1 else (neighbor_pool_size or K) if more else K,
            _SEED if seed is None else seed,
            sequential_sampling,
            enable_oversampling,
        )[0]
        return self.grouped(members, np.int64 if more or side == 1 else np.int32)

    def grouped(self, members: np.ndarray, kind: type = np.int64) -> Grouped:
        """The dictionary for groups `(B, C)` of frames that are known; indices of type `kind`."""
        return Grouped.of(self, members, kind)

    # -- files ---------------------------------------------------------------------------

    def to_file(self, path: str | Path) -> None:
        """Write the PtychoPINN NPZ, in one step.

        Raises:
            OutputError: the place cannot be written.
        """
        write_scan_npz(path, self.scan())

    def select(self, rows: np.ndarray) -> RawData:
        """Some of the frames, as `load_data` leaves them."""
        chosen = RawData._of_scan(self.scan().select(rows))
        chosen.centred_on, chosen.metadata = self.centred_on, self.metadata
        chosen._middle = self._middle
        chosen.sample_indices = np.asarray(rows)
        return chosen
