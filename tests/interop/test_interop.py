"""The doors for other programs, as far as they need none of these programs."""

import importlib
import subprocess
import sys
import threading

import pytest

from pinn.errors import ConfigError, ScanError
from pinn.interop.stream import Stream
from pinn.progress import StopRequested


def test_the_door_to_ptychodus_is_light_and_says_what_is_missing(monkeypatch):
    code = (
        "import sys, pinn.interop.ptychodus\n"
        "assert not {'ptychodus', 'keras', 'numpy'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    door = importlib.import_module("pinn.interop.ptychodus")
    monkeypatch.setitem(sys.modules, "ptychodus", None)  # as if it were not there
    for name in [name for name in sys.modules if name.startswith("ptychodus.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=r"needs ptychodus 1\.7 or later.*pip install"):
        _ = door.register
    with pytest.raises(AttributeError):
        _ = door.no_such_name


def test_reports_come_in_order_and_the_result_is_kept():
    def work(tell):
        for number in range(5):
            tell(number)
        return "done"

    stream = Stream(work)
    assert stream.result is None
    assert list(stream) == [0, 1, 2, 3, 4]
    assert stream.result == "done"


def test_an_error_in_the_work_reaches_who_iterates():
    def work(tell):
        tell(1)
        raise ScanError("no scan")

    reports = iter(Stream(work))
    assert next(reports) == 1
    with pytest.raises(ScanError, match="no scan"):
        next(reports)


@pytest.mark.parametrize("handled", [True, False])
def test_who_stops_iterating_ends_the_work(handled):
    """As the training does, which saves what it has; or by leaving the work at once."""
    ended = threading.Event()

    def work(tell):
        number = 0
        try:
            while True:
                tell(number)
                number += 1
                ended.wait(0.001)
        except StopRequested:
            if not handled:
                raise
            return "saved"
        finally:
            ended.set()

    stream = Stream(work)
    reports = iter(stream)
    assert [next(reports), next(reports)] == [0, 1]
    reports.close()
    assert ended.is_set()
    assert stream.result == ("saved" if handled else None)
    with pytest.raises(StopRequested):
        stream.check()
