"""Let tox find pyenv's interpreters, whose shims answer only for the versions that are switched on."""

import os
from pathlib import Path

_root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
_bins = sorted(str(path) for path in _root.glob("versions/3.*/bin"))
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), *_bins])
