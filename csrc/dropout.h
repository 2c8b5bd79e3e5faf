/* One row of Dropout: which units are dropped is a hash of the row's key and the unit, the same in a word of
 * any width. */

#ifndef NN_DROPOUT_H
#define NN_DROPOUT_H

#include "vec.h"

/* "lowbias32" of Wellons' hash prospector, with the second half of the key in its middle. */
INLINE uvec unit_hash(uvec unit, const uint32_t *key) {
    uvec h = unit * 0x9e3779b1u + key[0];
    h = (h ^ h >> 16) * 0x7feb352du ^ key[1];
    h = (h ^ h >> 15) * 0x846ca68bu;
    return h ^ h >> 16;
}

/* out = in * scale where the unit is kept, else 0; n units, and out may be in. */
static void dropout(float *out, const float *in, nn_dropout mask, ptrdiff_t n) {
    const vec scale = vset(mask.scale);
    uvec lane;
    for (int i = 0; i < VW; i++) lane[i] = (uint32_t)i;
    FOR_WORDS(n, {
        const ivec kept = (ivec)(unit_hash(lane + (uint32_t)i, mask.key) >= mask.threshold);
        vstore_part(out + i, vselect(kept, vload_part(in + i, PART, tail) * scale, vzero()) + 0.0f, PART,
                    tail);
    });
}

#endif
