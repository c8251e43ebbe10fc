"""The tests of the metrics notice wrong lines; see plant.py."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import plant
from wrong_lines import WRONG

NAME = "psnr-20"
TEST = "tests/metrics/test_metrics_properties.py::test_psnr_of_a_constant_error_has_a_closed_form"


@pytest.fixture(scope="module")
def place():
    with plant.copied_tree() as place:
        yield place


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_to_be_replaced_is_there(wrong):
    text = (plant.HOME / wrong.file).read_text()
    assert text.count(wrong.old) == 1, "stale: tell wrong_lines.py what stands there now"
    assert wrong.new != wrong.old


@pytest.mark.slow
def test_a_wrong_line_is_noticed(place):
    before = plant.plant(place, WRONG[NAME])
    assert plant.failing_test(place, [TEST]) == TEST
    (place / WRONG[NAME].file).write_text(before)


def test_a_stale_text_is_loud(place):
    gone = plant.Wrong("gone", "bench/metrics/ssim.py", "no such text", "", "for the test")
    with pytest.raises(plant.Stale, match="gone: found 0 times"):
        plant.judge(place, gone)
    with pytest.raises(plant.Stale, match="found 0 times in bench/no_such_file"):
        plant.plant(place, plant.Wrong("gone", "bench/no_such_file.py", "x", "y", "for the test"))


@pytest.mark.slow
def test_tests_that_do_not_run_are_no_catch(place):
    with pytest.raises(RuntimeError, match="did not run"):
        plant.failing_test(place, ["tests/metrics/no_such_file.py"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_wrong_line_is_noticed():
    script = Path(plant.__file__)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
