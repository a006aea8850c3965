"""A script runs in a process of its own: what it does there is not seen here, and however it ends, that is told."""

import builtins
import contextlib
import functools
import gc
import locale
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from symgrad import Limits, verify_many, verify_script
from symgrad.api.batches import Processes, answer_many
from symgrad.errors import BadInput, UserCodeFailed
from symgrad.lifting.scripts import child_process
from symgrad.lifting.scripts.child_process import answer_apart, can_fork
from symgrad.notebook import judge_cell
from symgrad.progress import Interrupted, doing

RIGHT = """
import torch
w = torch.tensor(1.5, requires_grad=True)
y = w**3
y.backward()
dw = 3*w.item()**2
print(w.grad, dw)
"""
MESS = """
import os, sys, gc, random, signal, threading, time, warnings, locale, tempfile, atexit, builtins, decimal, logging
import numpy as np
import torch

os.chdir(os.path.expanduser("~"))
os.environ["SCRIPT_WAS_HERE"] = "1"
os.environ.pop("PATH")
os.umask(0o077)
sys.path.append("nowhere")
sys.setrecursionlimit(4321)
sys.modules["a_module_of_the_scripts"] = sys
random.seed(1), np.random.seed(1), torch.manual_seed(1)
np.set_printoptions(precision=2)
np.seterr(all="raise")
torch.set_printoptions(precision=2)
torch.set_default_dtype(torch.float16)
torch.set_default_device("meta")
torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)
torch.set_num_threads(3)
torch.Tensor.by_the_script = 1
warnings.simplefilter("error")
warnings.showwarning = print
signal.signal(signal.SIGINT, lambda *_: None)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
gc.disable()
decimal.getcontext().prec = 3
logging.basicConfig(level=0)
logging.error("told")
print("told"), sys.stderr.write("told"), os.write(1, b"told")
builtins.by_the_script = 1
tempfile.tempdir = "nowhere"
sys.stdout = sys.stderr = None
"""


def interpreter():
    """What a script could change."""
    return {
        "folder": (os.getcwd(), sorted(os.listdir())),
        "environment": dict(os.environ),
        "mask": [os.umask(0o022), os.umask(0o022)][1],
        "path": list(sys.path),
        "argv": list(sys.argv),
        "depth": sys.getrecursionlimit(),
        "modules": set(sys.modules),
        "streams": (id(sys.stdin), id(sys.stdout), id(sys.stderr)),
        "random": (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()),
        "printed": (np.get_printoptions(), torch._tensor_str.PRINT_OPTS),
        "errors": np.geterr(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_num_threads()),
        "strict": torch.are_deterministic_algorithms_enabled(),
        "methods": (hasattr(torch.Tensor, "by_the_script"), hasattr(builtins, "by_the_script"), warnings.showwarning),
        "filters": list(warnings.filters),
        "handler": signal.getsignal(signal.SIGINT),
        "threads": threading.active_count(),
        "collector": gc.isenabled(),
        "locale": locale.setlocale(locale.LC_ALL),
        "temporary": tempfile.gettempdir(),
    }


def test_a_script_leaves_no_trace_in_the_process_that_asks(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    interpreter(), verify_script(RIGHT)  # what is imported when it is first used
    before = interpreter()
    assert verify_script(RIGHT + MESS).verdict == "proved"
    assert interpreter() == before
    assert capfd.readouterr() == ("", "")


def test_files_are_written_into_a_folder_of_its_own(tmp_path, tmp_path_factory, monkeypatch):
    """What lies beside it can be read, and changed as a copy; the folder goes when the answer is there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.txt").write_text("1.5\n")
    (tmp_path / "log.txt").write_text("before\n")
    (tmp_path / "old.txt").write_text("old")
    text = """
import os, pathlib, tempfile
import numpy as np, torch
w = torch.tensor(float(np.loadtxt("data/w.txt")), requires_grad=True)
y = w**3
y.backward()
dw = 3*w.item()**2
print(w.grad, dw)
open("log.txt", "a").write("after")
assert open("log.txt").read() == "before\\nafter"
np.save("data/result.npy", dw)
assert float(np.load("data/result.npy")) == dw
np.savetxt("data/w.txt", [2.5])
torch.save(w, "w.pt")
os.makedirs("runs/1")
os.remove("old.txt")
os.rename("log.txt", "kept.txt")
pathlib.Path("more.txt").write_text("more")
tempfile.NamedTemporaryFile(delete=False).write(b"left")
assert sorted(os.listdir()) == ["data", "kept.txt", "more.txt", "runs", "w.pt"]
assert os.path.exists("data/result.npy")
"""
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    report = verify_script(text)
    assert not any("stops early" in note for note in report.notes)
    assert report.verdict == "proved"
    assert sorted(os.listdir()) == ["data", "log.txt", "old.txt"]
    assert [p.read_text() for p in (Path("data/w.txt"), Path("log.txt"))] == ["1.5\n", "before\n"]
    assert os.listdir("data") == ["w.txt"]
    assert os.listdir(temporary) == []


def test_a_line_that_is_tried_with_edits_writes_nothing_either(tmp_path, monkeypatch):
    """What is wrong is looked for by computing parts of lines again, outside of any run of the whole."""
    monkeypatch.chdir(tmp_path)
    lines = "import numpy as np; np.savetxt('w.csv', [1.0]); dw = 3*w.item() + 0*len(open('log.txt', 'w').name)"
    assert verify_script(RIGHT.replace("dw = 3*w.item()**2", lines)).verdict == "refuted"
    assert os.listdir(tmp_path) == []


def test_a_file_elsewhere_is_not_written(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(BadInput, match=r"the script changes .*elsewhere.txt, which is outside of its folder"):
        verify_script(RIGHT + f"open({str(tmp_path / 'elsewhere.txt')!r}, 'w').write('1')\n")
    assert os.listdir(tmp_path) == ["here"]
    assert verify_script(RIGHT + "open('elsewhere.txt', 'w').write('1')\n").verdict == "proved"


def test_modules_beside_a_script_are_found(tmp_path):
    (tmp_path / "layers.py").write_text("def slope(w):\n    return 3*w**2\n")
    path = tmp_path / "train.py"
    path.write_text(
        RIGHT.replace("3*w.item()**2", "slope(w.item())").replace(
            "import torch", "import torch\nfrom layers import slope"
        )
    )
    assert verify_script(path).verdict == "proved"
    assert "layers" not in sys.modules


ENDS = {
    "an endless loop": ("while True: pass\n", BadInput, "more than 1,000,000 turns of loops"),
    "a wait": ("import time\ntime.sleep(600)\n", BadInput, "the script was still running after 2 seconds."),
    "a loop in C": ("sum(range(10**12))\n", BadInput, "the script was still running after 2 seconds."),
    "os._exit": ("import os\nos._exit(3)\n", UserCodeFailed, "ended its process with exit code 3"),
    "a crash": ("import ctypes\nctypes.string_at(0)\n", UserCodeFailed, r"made the interpreter crash \(SIGSEGV\)"),
    "a kill": ("import os\nos.kill(os.getpid(), 9)\n", UserCodeFailed, r"crash \(SIGKILL\)"),
    "no memory for NumPy": ("import numpy\nnumpy.ones(10**10)\n", BadInput, "more memory than it may, 1 GiB"),
    "no memory for torch": ("import torch\ntorch.ones(10**10)\n", BadInput, "more memory than it may, 1 GiB"),
    "a deep recursion": ("def f(): return f()\nf()\n", UserCodeFailed, "RecursionError: maximum recursion depth"),
    "input": ("n = 1\nx = float(input('x: '))\n", BadInput, r"the script asks for input\(\)."),
    "a standard input": ("import sys\nfor line in sys.stdin: print(line)\n", BadInput, "asks for input"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.slow
def test_every_end_is_a_clear_word(end):
    text, error, message = ENDS[end]
    with pytest.raises(error, match=message) as caught:
        verify_script(RIGHT + text, limits=Limits(seconds=2, memory=1 << 30))
    assert caught.value.where is None or re.match(r"    <pasted>:(8|9|10)    ", caught.value.where)


def test_an_answer_may_be_deep():
    def question():
        answer = []
        for _ in range(5000):
            answer = [answer]
        return answer

    answer, depth = answer_apart(question), 0
    while answer:
        (answer,), depth = answer, depth + 1
    assert depth == 5000


def test_the_line_at_which_it_was_ended_is_shown():
    with pytest.raises(BadInput) as caught:
        verify_script("import time\n\ndef wait():\n    time.sleep(600)\n\nwait()\n", limits=Limits(seconds=0.5))
    assert caught.value.where == "    <pasted>:4    time.sleep(600)"
    assert caught.value.instead.endswith("symgrad.Limits(seconds=...) gives it more time.")
    with pytest.raises(UserCodeFailed) as caught:
        verify_script("import ctypes\nx = 3\nctypes.string_at(0)\n")
    assert caught.value.where == "    <pasted>:3    ctypes.string_at(0)"


def test_sys_exit_and_an_interrupt_are_ends_that_are_judged():
    for end in (
        "import sys; sys.exit(1)\n",
        "exit()\n",
        "quit()\n",
        "raise KeyboardInterrupt\n",
        "breakpoint()\nexit()\n",
    ):
        report = verify_script(RIGHT + end)
        assert report.verdict == "proved"
        assert any(note.startswith("The script stops early (it ends itself with") for note in report.notes)


def test_plots_do_not_open():
    pytest.importorskip("matplotlib")
    text = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('curve.png')\nplt.show()\n"
    assert (
        verify_script(RIGHT + text + "assert plt.get_backend().lower() == 'agg'\n").notes == verify_script(RIGHT).notes
    )


def test_what_the_table_needs_is_asked_once_more():
    """The script's process has ended; the table runs it in another one."""
    rows = verify_script(RIGHT).table().rows
    assert {float(row["truth"]) for row in rows if row["own"]} == {6.75}


def test_errors_come_back_with_what_they_came_from():
    with pytest.raises(UserCodeFailed) as caught:
        verify_script(RIGHT + "1/0\n")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert '":8' in "".join(caught.value.__cause__.__notes__).replace(", line ", '":').replace('"":', '":')

    class Odd(Exception):
        def __init__(self, a, b):
            super().__init__(f"{a} and {b}")

    def ask():
        raise Odd(1, 2)

    with pytest.raises(RuntimeError, match="Odd: 1 and 2"):
        answer_apart(ask)
    with pytest.raises(TypeError, match="no plain data"):
        answer_apart(lambda: lambda: 1)


@pytest.mark.slow
def test_without_a_fork_a_new_interpreter_answers(monkeypatch, tmp_path):
    monkeypatch.setattr(child_process, "can_fork", lambda: False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.txt").write_text("2.0")
    text = RIGHT.replace("1.5", "float(open('w.txt').read()) * scale")
    report = verify_script(text + "open('out.txt', 'w').write('1')\n", namespace={"scale": 0.5})
    assert report.verdict == "proved"
    assert os.listdir(tmp_path) == ["w.txt"]
    with pytest.raises(BadInput, match="still running after 1 seconds"):
        verify_script(RIGHT + "import time\ntime.sleep(600)\n", limits=Limits(seconds=1))
    with pytest.raises(BadInput, match="cannot be sent to a new process"):
        verify_script(text, namespace={"scale": 0.5, "f": threading.Lock()})


class Told:
    """What is made again under a name that only this process has."""

    def __reduce__(self):
        return getattr, (sys, "of_this_process_alone")


@pytest.mark.slow
def test_what_a_new_interpreter_is_asked(monkeypatch):
    """A user's own functions and modules are sent; what cannot be is left out of a notebook's, or an error."""
    monkeypatch.setattr(child_process, "can_fork", lambda: False)
    square = lambda x: x * x  # noqa: E731
    found = {"square": square, "np": np, "lock": threading.Lock()}
    assert list(child_process.sendable(found)) == ["square", "np"]
    assert answer_apart(lambda: square(np.float64(3.0))) == 9.0
    monkeypatch.setattr(sys, "of_this_process_alone", 1, raising=False)
    with pytest.raises(BadInput, match="cannot be read in a new process"):
        answer_apart(functools.partial(print, Told()))


@pytest.mark.slow
def test_a_notebooks_cell_and_many_files_without_a_fork(monkeypatch, tmp_path):
    monkeypatch.setattr(child_process, "can_fork", lambda: False)
    report = judge_cell("", RIGHT.replace("1.5", "scale"), {"scale": 1.5, "np": np, "lock": threading.Lock()})
    assert report.verdict == "proved"
    with Processes(2) as two:
        asked = [("x**2", "2*x"), (lambda x: x**2, lambda x: 3 * x, {"at": {"x": 1.0}})]
        assert [r.verdict for r in verify_many(asked, executor=two)] == ["proved", "refuted"]


def test_torch_with_threads_goes_on_in_a_fork():
    """A pool of threads is not in the copy; kernels that would wait for it must not."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.randn(400, 400) @ torch.randn(400, 400)
        text = RIGHT + "a = torch.randn(400, 400) @ torch.randn(400, 400)\n"
        assert verify_script(text, limits=Limits(seconds=20)).verdict == "proved"
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def ctrl_c():
    """A function to be called in the other process: then a Ctrl-C comes to this one."""
    if not can_fork():
        pytest.skip("there is no fork here")
    told, tell = os.pipe()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

    def press() -> None:
        os.read(told, 1)
        time.sleep(0.5)  # the other may be there before this one waits for it
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    try:
        yield lambda: os.write(tell, b".")
    finally:
        finger.join()
        signal.signal(signal.SIGINT, before)
        os.close(told)
        os.close(tell)


def wait_until_it_is_ended(ready) -> str:
    ready()
    try:
        while True:
            doing("waiting")
            time.sleep(0.01)
    except Interrupted:
        return "what is known so far"


def test_an_interrupt_ends_the_other_with_what_it_knows():
    with ctrl_c() as ready:
        assert answer_apart(lambda: wait_until_it_is_ended(ready)) == "what is known so far"


def test_an_interrupt_ends_the_other_where_its_code_does_not_listen(monkeypatch):
    monkeypatch.setattr(child_process.end_all, "__defaults__", (0.2,))
    with ctrl_c() as ready, pytest.raises(KeyboardInterrupt):
        answer_apart(lambda: ready() and time.sleep(600))
    with contextlib.suppress(ChildProcessError):
        assert os.waitpid(-1, os.WNOHANG)[0] == 0


def test_an_interrupt_ends_many_with_what_is_known():
    with ctrl_c() as ready, Processes(1) as one:
        asks = [lambda: "done", lambda: wait_until_it_is_ended(ready), lambda: "not begun"]
        done, waited, other = answer_many(asks, one)
    assert (done, waited) == ("done", "what is known so far")
    assert str(other) == "nothing was known when it was ended by Ctrl-C."


# ------------------------------------------------------------------------------------------------ whoever asked is gone

ASKING = """
import functools, sys, threading, time
from symgrad.lifting.scripts import child_process

if {forks} is False:
    child_process.can_fork = lambda: False
ask = functools.partial(child_process.answer_apart, functools.partial(time.sleep, 300))
threading.Thread(target=ask, daemon=True).start()
while not child_process._RUNNING:
    time.sleep(0.01)
print(*child_process._RUNNING, flush=True)
time.sleep(300)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize(("forks", "number"), [(True, "SIGTERM"), (True, "SIGKILL"), (False, "SIGKILL")])
def test_a_process_ends_with_the_one_that_asked(forks: bool, number: str):
    if forks and not can_fork():
        pytest.skip("this system does not fork")
    asking = subprocess.Popen([sys.executable, "-c", ASKING.format(forks=forks)], stdout=subprocess.PIPE, text=True)
    assert asking.stdout is not None
    try:
        child = int(asking.stdout.readline())
        assert alive(child)
        asking.send_signal(getattr(signal, number))
        asking.wait(60)
        assert waited_for(lambda: not alive(child))
    finally:
        asking.kill()
        asking.stdout.close()


def waited_for(what, seconds: float = 60.0) -> bool:
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        if what():
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
