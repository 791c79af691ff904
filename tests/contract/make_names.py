"""Writes `names.json`, the names of version 0.1.0; what was decided since is in `decided.json`.

Needs the files in `v010`, and no Keras::

    PYTHONPATH=. python tests/contract/make_names.py
"""

import json
from pathlib import Path

import names

HERE = Path(__file__).parent


def main() -> None:
    """Write it anew."""
    assert not json.loads((HERE / "decided.json").read_text())["renamed"]
    v010 = HERE / "v010"
    found = {
        **names.of_code(),
        **names.of_archive(v010 / "training" / "wts.h5.zip"),
        **names.of_config(v010 / "training" / "config.json"),
        **names.of_result(v010 / "refined.h5"),
    }
    (HERE / "names.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
