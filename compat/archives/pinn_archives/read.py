"""The entry point of `pinn.archive_readers`: an archive of PtychoPINN as one of ours.

What is read: `wts.h5.zip` of its TensorFlow and PyTorch sides, the same unpacked in a folder, a
zip or a folder that holds it (ptychodus makes both), and Lightning checkpoints. No framework is
needed, and nothing in the file is run. See docs/legacy-archives.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pinn.errors import ArchiveError
from pinn.io.archive import ARCHIVE_NAME, archive_digest
from pinn.io.convert_archive import ROLES, Foreign, starts_as_zip
from pinn_archives.members import Members, folder_members, inner_zip, zip_members
from pinn_archives.model import OldModel, our_archive
from pinn_archives.names import Vocabulary
from pinn_archives.pytorch import read_pytorch
from pinn_archives.tensorflow import check_pickles, read_parameters, read_tensorflow
from pinn_archives.torch_file import is_torch_file, read_torch
from pinn_archives.unpickle import plain_data

_MANIFEST = "manifest.dill"
_TORCH_METADATA = "torch_scaling_metadata.pt"
_MANIFEST_LIMIT = 1 << 20
_FILE_LIMIT = 8 << 30


def read_archive(
    source: Path,
    *,
    merge: str = "probe",
    role: str | None = None,
    probe: np.ndarray | None = None,
    input_gain: float | None = None,
) -> Foreign:
    """Read an archive of PtychoPINN.

    Args:
        source: the archive, a folder that holds it or its content, or a Lightning checkpoint.
        merge: rule for groups; `legacy` reproduces the reference's, the others are sound.
        role: which of the two models, `diffraction_to_obj` or `autoencoder`; by default the first
            that is there.
        probe: takes the place of the archive's.
        input_gain: PyTorch only: factor of the network's input, where no option states it.

    Raises:
        ArchiveError: no archive of the reference, damaged, malicious, or of another network.
    """
    with _opened(source) as members:
        old = _read(members, source, role, probe, input_gain)
        digest = "" if source.is_dir() else archive_digest(source)
        archive = our_archive(old, merge, source.name, digest)
    old.notes += _about_the_ring(archive.config["model"], merge)
    return Foreign(
        archive,
        old.kind,
        old.framework,
        old.versions,
        tuple(old.carried),
        tuple(old.lost),
        tuple(old.notes),
    )


def _about_the_ring(model: dict[str, Any], merge: str) -> list[str]:
    if not (model["pad_object"] and model["probe_big"] and model["object_big"]):
        return []
    notes = [
        "the reference amplified the ring around the central half of a patch a thousand times "
        "while it trained this network, so what the network says there is no object: reconstruct "
        "with --weighting crop, which uses the central half"
    ]
    if merge != "legacy":
        notes.append(
            f"merge {merge} does not amplify: frames predicted from that ring differ "
            "from the reference's, those of --merge legacy do not"
        )
    return notes


@contextmanager
def _opened(source: Path) -> Iterator[Members]:
    """The files of the archive itself, whatever it is wrapped in."""
    if source.is_dir() and (source / ARCHIVE_NAME).is_file():
        source = source / ARCHIVE_NAME
    if not source.exists():
        raise ArchiveError(f"there is no archive {source}; check the path")
    if source.is_dir():
        yield folder_members(source)
        return
    if not starts_as_zip(source):
        raise ArchiveError(
            f"{source} is no zip file: it is damaged, or was saved by a PyTorch before 1.6; load "
            "and save it again with a later one"
        )
    members = zip_members(source, str(source))
    wrapped = [name for name in members.names if PurePosixPath(name).name == ARCHIVE_NAME]
    if not wrapped or any(PurePosixPath(name).name == _MANIFEST for name in members.names):
        yield members
        return
    with inner_zip(members, wrapped[0], _FILE_LIMIT) as inner:
        yield inner


def _read(
    members: Members,
    source: Path,
    role: str | None,
    probe: np.ndarray | None,
    gain: float | None,
) -> OldModel:
    manifests = [name for name in members.names if PurePosixPath(name).name == _MANIFEST]
    if not manifests and is_torch_file(members):
        return _checkpoint(members, probe, gain)
    if len(manifests) != 1:
        raise ArchiveError(
            f"{source} holds {len(manifests)} files {_MANIFEST}, so it is no archive of the "
            "reference PtychoPINN"
        )
    prefix = manifests[0].removesuffix(_MANIFEST)
    where = f"{manifests[0]} of {members.where}"
    manifest = plain_data(members.read(manifests[0], _MANIFEST_LIMIT), where, Vocabulary())
    if not isinstance(manifest, dict) or not isinstance(manifest.get("models"), list | tuple):
        raise ArchiveError(f"{where} does not list models; get a whole copy")
    check_pickles(members, prefix)
    chosen = _role(manifest["models"], role, where)
    version = str(manifest.get("version", ""))
    if "pytorch" in version or f"{prefix}{chosen}/model.pth" in members.names:
        return _torch_archive(members, prefix, chosen, probe, gain)
    if gain is not None:
        raise ArchiveError(
            f"{source} is a TensorFlow archive, whose input needs no factor; leave input_gain out"
        )
    return read_tensorflow(members, prefix, chosen, probe)


def _role(models: Any, role: str | None, where: str) -> str:
    models = [name for name in models if isinstance(name, str)]
    known = [name for name in ROLES if name in models]
    if role is None and known:
        return known[0]
    if role is None or role not in known:
        raise ArchiveError(
            f"{where} lists the models {', '.join(name[:40] for name in models) or 'none'}; "
            f"converted is one of {', '.join(ROLES)}" + (f", not {role!r}" if role else "")
        )
    return role


def _torch_archive(
    members: Members, prefix: str, role: str, probe: np.ndarray | None, gain: float | None
) -> OldModel:
    parameters: dict[str, Any] = read_parameters(members, f"{prefix}{role}/params.dill")
    for name in members.names:
        if PurePosixPath(name).name == _TORCH_METADATA:
            with inner_zip(members, name, _FILE_LIMIT) as inner:
                parameters[_TORCH_METADATA] = read_torch(inner)
    where = f"{role} of {members.where}"

    def weights(found: Any) -> Any:
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
            raise ArchiveError(f"{where} holds no dictionary of weights in model.pth")
        return found

    with inner_zip(members, f"{prefix}{role}/model.pth", _FILE_LIMIT) as inner:
        state = read_torch(inner, weights)
    return read_pytorch(state, parameters, where, "archive of PtychoPINN (PyTorch)", probe, gain)


def _checkpoint(members: Members, probe: np.ndarray | None, gain: float | None) -> OldModel:
    def wanted(found: Any) -> Any:
        """Weights and options; the state of the optimiser, twice as large, is left where it is."""
        state = found.get("state_dict") if isinstance(found, dict) else None
        options = found.get("hyper_parameters") if isinstance(found, dict) else None
        if not isinstance(state, dict) or not isinstance(options, dict):
            raise ArchiveError(
                f"{members.where} is no Lightning checkpoint: it has no 'state_dict' beside "
                "'hyper_parameters'; a file of weights alone does not say what network they are "
                "for, so name the whole wts.h5.zip"
            )
        if not all(isinstance(name, str) for name in state):
            raise ArchiveError(f"{members.where} has weights without names")
        return state, options

    state, options = read_torch(members, wanted)
    return read_pytorch(
        state, options, members.where, "Lightning checkpoint of PtychoPINN", probe, gain
    )
