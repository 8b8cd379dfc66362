"""Where models are kept on this machine, which are there, and which path a name stands for.

Each model has a folder; a record in it, written last, says that all its files are there.
Not here: fetching (hub.pull).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from myna import embedded
from myna.core.errors import BadCheckpoint, InvalidRequest, NotFound
from myna.hub.catalogue import CatalogueFile, Entry, catalogue, entry_of

RECORD_NAME = ".myna.json"
PART_SUFFIX = ".part"
BOX = "the package itself"  # where the model in the box came from


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Tell where an installed model's files came from, and which they are.

    `bits` are those of most weights, if they were packed as they came.
    """

    id: str
    source: str
    revision: str | None
    pulled_s: float
    files: tuple[CatalogueFile, ...]
    bits: int | None = None


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """Name a model that is on this machine; `source` is `None` if the user put it there."""

    id: str
    path: Path
    num_bytes: int
    source: str | None

    @property
    def summary(self) -> str:
        """Say what it is; the catalogue says more of its own models."""
        if self.source != BOX:
            return "your own"
        return "Comes with Myna: hears, sees, speaks within a closed domain"

    @property
    def licence(self) -> str | None:
        """Name its licence, as far as we know."""
        return embedded.LICENCE if self.source == BOX else None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be named; at least one of both is there.

    Attributes:
        entry: what the catalogue says of it.
        here: what is on this machine.
    """

    entry: Entry | None = None
    here: Installed | None = None

    @property
    def _about(self) -> Entry | Installed:
        about = self.entry or self.here
        assert about is not None, "nothing is known of it"
        return about

    @property
    def id(self) -> str:
        """Name it."""
        return self._about.id

    @property
    def summary(self) -> str:
        """Say what it is."""
        return self._about.summary

    @property
    def licence(self) -> str | None:
        """Name its licence, as far as we know."""
        if self.entry is not None:
            return self.entry.licence.name
        return self.here.licence if self.here else None

    @property
    def num_bytes(self) -> int:
        """Count its bytes here, or those of its download."""
        if self.here is not None:
            return self.here.num_bytes
        assert self.entry is not None, "nothing is known of it"
        return self.entry.download_bytes

    @property
    def path(self) -> Path | None:
        """Tell where it is on this machine."""
        return self.here.path if self.here else None


def installed(models_dir: Path) -> tuple[Installed, ...]:
    """List what is installed: the model in the box, then others by name."""
    paths = sorted(models_dir.iterdir()) if models_dir.is_dir() else ()
    found = (in_the_box(), *(_look_at(path) for path in paths))
    return tuple(model for model in found if model is not None)


def known(models_dir: Path) -> tuple[Known, ...]:
    """List all that can be named: what is in the box, the catalogue, what else is here."""
    here = {model.id: model for model in installed(models_dir)}
    box = [Known(here=here.pop(model.id)) for model in list(here.values()) if model.source == BOX]
    listed = [Known(entry=entry, here=here.pop(entry.id, None)) for entry in catalogue().values()]
    return (*box, *listed, *(Known(here=model) for model in here.values()))


def in_the_box() -> Installed | None:
    """Describe the model that came with the package; `None` if this copy has none."""
    path = embedded.folder()
    if path is None:
        return None
    return Installed(id=embedded.NAME, path=path, num_bytes=size_of(path), source=BOX)


def find(name: str, models_dir: Path) -> Path:
    """Return the folder or GGUF file that a name stands for: a model's name, or a path.

    Raises:
        NotFound: there is no such model, or it is not installed.
    """
    if not name:
        raise InvalidRequest("the model's name is empty; name one of `myna list`", param="model")
    model = look_up(name, models_dir)
    if model is not None:
        return model.path
    if _is_path(name):
        raise NotFound(f"there is no file or folder {name!r}", param="model")
    entry = entry_of(name)  # Raises, with the nearest name, if the catalogue has none.
    part = " (only a part of it is)" if _place(entry.id, models_dir) is not None else ""
    raise NotFound(
        f"model {entry.id!r} is not on this machine{part}\nhint: myna pull {entry.id}",
        param="model",
    )


def look_up(name: str, models_dir: Path) -> Installed | None:
    """Describe what a name stands for; `None` if nothing is there."""
    if name == embedded.NAME and (boxed := in_the_box()) is not None:
        return boxed
    path = path_of(name)
    model_id = _id_of(name)
    if not _is_path(name):
        place = _place(model_id, models_dir)
        model = None if place is None else _look_at(place)
        if model is not None:
            return model
        if model_id in catalogue() or not (path and path.is_dir()):
            return None
    if path is None:
        return None
    return Installed(id=path.name, path=path, num_bytes=size_of(path), source=None)


def remove(name: str, models_dir: Path) -> Installed:
    """Delete an installed model, or what an interrupted download left of it.

    Raises:
        NotFound: nothing of it is here.
        InvalidRequest: it is a part of the package.
    """
    model_id = _id_of(name)
    if model_id == embedded.NAME and in_the_box() is not None:
        raise InvalidRequest(
            f"{model_id!r} is a part of the package and goes with it\nhint: pip uninstall myna",
            param="model",
        )
    place = _place(model_id, models_dir)
    if place is None or place.is_symlink():
        raise NotFound(
            f"model {name!r} is not on this machine\nhint: `myna list` shows what is", param="model"
        )
    num_bytes = size_of(place)
    if place.is_file():
        place.unlink()
    else:
        # The record goes first: what an interrupted removal leaves is no installed model.
        (place / RECORD_NAME).unlink(missing_ok=True)
        shutil.rmtree(place)
    return Installed(id=model_id, path=place, num_bytes=num_bytes, source=None)


def read_record(folder: Path) -> Record | None:
    """Read the record of a complete model; `None` if there is none.

    Raises:
        BadCheckpoint: the record is damaged.
    """
    path = folder / RECORD_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BadCheckpoint(
            f"{path} cannot be read ({error})\nhint: myna rm {folder.name}, then pull it again"
        ) from error


def size_of(folder: Path) -> int:
    """Add up the bytes of a folder's files, or give those of a file."""
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def path_of(name: str) -> Path | None:
    """Return the file or folder that is there under a name, if one can be."""
    try:
        path = Path(name).expanduser()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):
        return None  # Too long, holds a zero, or begins with the ~ of nobody: no path at all.


def _is_path(name: str) -> bool:
    """Tell a path from a model's name, which may be that of its repository."""
    return ("/" in name or name.endswith(".gguf")) and _id_of(name) == name


def _id_of(name: str) -> str:
    """Translate a repository's name to the catalogue's; leave others as they are."""
    for entry in catalogue().values():
        if name.lower() in (entry.id, entry.repository.lower()):
            return entry.id
    return name


def _place(model_id: str, models_dir: Path) -> Path | None:
    """Return the folder or file of a model inside the models' folder, never outside."""
    if not model_id or model_id.startswith(".") or Path(model_id).name != model_id:
        return None
    folder, file = models_dir / model_id, models_dir / f"{model_id}.gguf"
    if folder.is_dir():
        return folder
    return file if file.is_file() else None


def _look_at(folder: Path) -> Installed | None:
    """Recognise a model: a folder with a record, or one that the user put there."""
    if folder.is_file() and folder.suffix == ".gguf":
        return Installed(id=folder.stem, path=folder, num_bytes=folder.stat().st_size, source=None)
    if not folder.is_dir():
        return None
    record = read_record(folder)
    ggufs = sorted(folder.glob("*.gguf"))
    if record is not None:
        path = folder / record.files[0].path if _is_gguf(record) else folder
        return Installed(id=folder.name, path=path, num_bytes=size_of(folder), source=record.source)
    if folder.name in catalogue() or any(folder.rglob("*" + PART_SUFFIX)):
        return None  # An interrupted download.
    if (folder / "config.json").is_file() or ggufs:
        path = folder if not ggufs else ggufs[0]
        return Installed(id=folder.name, path=path, num_bytes=size_of(folder), source=None)
    return None


def _is_gguf(record: Record) -> bool:
    return len(record.files) == 1 and record.files[0].path.endswith(".gguf")
