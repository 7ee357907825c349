"""What the server of worker processes loads before it makes them: importing this module is all of its work.

Python writes to the pages of objects that its garbage collector visits, which would give each fork a copy of its own;
``gc.freeze`` keeps the collector off everything that is loaded here.
"""

import gc

import benchmark.work  # noqa: F401
from benchmark.memory import give_back

give_back()
gc.freeze()
