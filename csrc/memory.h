/* The only allocator of large memory. */

#ifndef NN_MEMORY_H
#define NN_MEMORY_H

#include <stddef.h>

/* Zeroed floats on a cache line, in large pages where that helps; freed with nn_free. NULL if there is no
 * memory. */
void *nn_alloc(size_t bytes);
void nn_free(void *memory);

#endif
