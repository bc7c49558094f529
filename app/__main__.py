"""The old name of the command line, kept for one release: ``python -m app``.

It runs ``python -m modelbooster``. Nothing is imported here, because ``app`` is the lowest floor.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("modelbooster", run_name="__main__", alter_sys=True)
