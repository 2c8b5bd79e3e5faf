# cython: language_level=3, boundscheck=True, wraparound=False, embedsignature=True
"""The seam between Python and the engine in csrc/.

Each function checks its arguments, releases the GIL, makes one C call and turns its status into an exception. No mathematics, no defaults and no memory
management live here; `_core.pyi` gives the types, `kernels.py` and `models.py` the documentation for users. One module, in parts: those below read what
those above declare.
"""

import os
import weakref
from operator import index as index_of

import numpy as np

from nnfast.errors import NonFiniteError

from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport PyThread_get_thread_ident
from libc.math cimport isfinite
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.unistd cimport usleep
from libcpp cimport bool as cbool  # C11's bool, of the same size

cimport cython
cimport numpy as cnp

cnp.import_array()


include "_core_declarations.pxi"
include "_core_tables.pxi"
include "_core_checks.pxi"
include "_core_data.pxi"
include "_core_lock.pxi"
include "_core_net.pxi"
include "_core_run.pxi"
include "_core_kernels.pxi"
