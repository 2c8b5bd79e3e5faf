/* The random streams, version 1: a function of (seed, stream, index) and nothing else, so that any part of a
 * run can be repeated.
 *
 * Word i of stream s under seed k is mix(key(k, s) + i * gamma): SplitMix64 (Steele, Lea and Flood 2014) with
 * its counter made explicit and Stafford's mix 13, which passes BigCrush. All arithmetic is in integers and
 * doubles without FMA or libm: the same numbers on every machine. Streams: the initial weights take the index
 * of their tensor, the shuffle of epoch e takes SHUFFLE_STREAM + e. */

#ifndef NN_RANDOM_H
#define NN_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define NN_SHUFFLE_STREAM ((uint64_t)1 << 32)

/* The key of one stream of many. */
uint64_t nn_random_key(uint64_t seed, uint64_t stream);

/* n words of one stream as doubles in [0, 1) with 53 bits. */
void nn_random_uniform(double *out, ptrdiff_t n, uint64_t seed, uint64_t stream);

/* Standard normal by the inverse of the distribution function (Wichura's AS 241, relative error 1e-16), so
 * that one word makes one number. */
void nn_random_normal(double *out, ptrdiff_t n, uint64_t seed, uint64_t stream);

/* The same, given |z| < 2. Not rescaled. */
void nn_random_truncated_normal(double *out, ptrdiff_t n, uint64_t seed, uint64_t stream);

/* A uniform permutation of 0 .. n-1, n < 2^32: the rows of epoch `epoch`. Fisher and Yates, with Lemire's
 * unbiased bounded integers. */
void nn_random_shuffle(uint32_t *order, ptrdiff_t n, uint64_t seed, uint64_t epoch);

#endif
