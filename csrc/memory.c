/* See memory.h. */

#define _GNU_SOURCE /* madvise */

#include "memory.h"

#include "tune.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

void *nn_alloc(size_t bytes) {
    const size_t alignment = bytes >= NN_LARGE_PAGE ? NN_LARGE_PAGE : NN_CACHE_LINE;
    if (bytes > SIZE_MAX - 2 * NN_LARGE_PAGE) return NULL;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    /* What calloc takes fresh from the system is zero already; to clear gigabytes here would take seconds in
     * which nobody asks for Ctrl-C. */
    char *whole = calloc(1, rounded + alignment);
    if (!whole) return NULL;
    char *memory =
        whole + alignment -
        (uintptr_t)whole % alignment; /* at least a pointer behind `whole`, as calloc aligns to 16 bytes */
    memcpy(memory - sizeof whole, &whole, sizeof whole);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == NN_LARGE_PAGE)
        madvise(memory, rounded, MADV_HUGEPAGE); /* advice: a refusal is no error */
#endif
    return memory;
}

void nn_free(void *memory) {
    char *whole;
    if (!memory) return;
    memcpy(&whole, (char *)memory - sizeof whole, sizeof whole);
    free(whole);
}
