"""What holds for every test: no test fails because the machine is slow, and each process keeps one core busy."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in what the tests start

from hypothesis import settings

settings.register_profile("symgrad", deadline=None)
settings.load_profile("symgrad")
