# What is declared in csrc/ and used in the seam.

cdef extern from *:
    """
    #undef I  /* <complex.h>, which NumPy includes, takes the letter for itself; here it counts inputs */
    """

cdef extern from "kernels.h" nogil:
    enum: NN_MAX_SLOTS, NN_MAX_HYPER, NN_MAX_METRICS
    ctypedef struct nn_activation:
        const char *name
        bint has_parameter
        double parameter
        void (*forward)(float *, ptrdiff_t, ptrdiff_t, float) noexcept nogil
        void (*backward)(float *, const float *, const float *, ptrdiff_t, ptrdiff_t, float) noexcept nogil
    ctypedef struct nn_targets:
        const int32_t *labels
        const float *values
    ctypedef struct nn_loss:
        const char *name
        const char *link
        bint sparse
        void (*from_logits)(float *, float *, float *, nn_targets, const float *, ptrdiff_t, ptrdiff_t, float) noexcept nogil
        void (*from_outputs)(float *, float *, const float *, nn_targets, const float *, ptrdiff_t, ptrdiff_t, float) noexcept nogil
    ctypedef struct nn_metric:
        const char *name
        bint sparse
    ctypedef struct nn_step:
        float c[NN_MAX_HYPER]
    ctypedef struct nn_weights:
        float *w
        float *slots[NN_MAX_SLOTS]
    ctypedef struct nn_area:
        ptrdiff_t rows, n, ldw, ldg
    ctypedef struct nn_dropout:
        pass
    ctypedef struct nn_rule:
        const char *name
        const char *hyper[NN_MAX_HYPER + 1]
        const char *slots[NN_MAX_SLOTS + 1]
        void (*prepare)(nn_step *, const double *, int64_t) noexcept nogil
        void (*update)(const nn_weights *, float *, nn_area, const nn_step *, cbool) noexcept nogil
        double initial[NN_MAX_SLOTS]
    ctypedef struct nn_update:
        const nn_rule *rule
        const nn_step *step
    ctypedef struct nn_dense:
        const float *w
        const float *b
        ptrdiff_t I, O
        const nn_activation *activation
        float parameter
    ctypedef struct nn_outer:
        const float *dz
        const float *x
        ptrdiff_t R, I, O
    ctypedef struct nn_slope:
        const nn_activation *activation
        float parameter
        const float *a
    ctypedef struct nn_kernels:
        const char *name
        const nn_activation *activations
        const nn_loss *losses
        const nn_metric *metrics
        const nn_rule *rules
        void (*dense_forward)(float *, const float *, const nn_dense *, ptrdiff_t) noexcept nogil
        void (*dense_dw)(float *, const float *, const nn_outer *, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*dense_dw_update)(const nn_weights *, const float *, const nn_outer *, ptrdiff_t, ptrdiff_t, const nn_update *, float *) noexcept nogil
        ptrdiff_t dw_scratch
        void (*dense_db)(float *, const float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*dense_dx)(float *, const float *, const float *, const nn_slope *, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*transpose)(float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        cbool (*all_finite)(const float *, ptrdiff_t) noexcept nogil
        cbool (*math)(float *, const float *, ptrdiff_t, const char *) noexcept nogil
    bint nn_dw_wants_scratch(ptrdiff_t, ptrdiff_t)
    const nn_kernels *nn_kernels_select(const char *)
    const nn_kernels *nn_kernels_available(int)
    uint32_t nn_float_mode_enter()
    void nn_float_mode_leave(uint32_t)

cdef extern from "op.h" nogil:
    const int NN_INPUT
    ctypedef struct nn_op_kind:
        const char *name
        cbool has_weights, train_only
    ctypedef struct nn_op:
        const nn_op_kind *kind
        int input
        ptrdiff_t inputs, outputs
        const nn_activation *activation
        float parameter
        cbool bias, trainable
        nn_dropout dropout
        uint64_t seed
        ptrdiff_t w, b
    const nn_op_kind *nn_op_kinds(int)
    nn_dropout nn_dropout_of(double)

cdef extern from "net.h" nogil:
    ctypedef enum nn_status:
        NN_OK, NN_NO_MEMORY, NN_NOT_FINITE, NN_INTERRUPTED, NN_FORKED, NN_TOO_MANY_STEPS
    const ptrdiff_t NN_MAX_SIZE
    ctypedef struct nn_net:
        int count
        nn_op *ops
        ptrdiff_t size
        nn_weights weights
        int64_t step
        ptrdiff_t metrics_count
        int skip_choice
        int schedule_choice
    enum: NN_SCHEDULES
    const char *nn_schedule_names[]
    ctypedef struct nn_csr:
        const int64_t *start
        const int32_t *index
        const float *value
    ctypedef struct nn_data:
        const float *x
        nn_csr csr
        nn_targets y
        const float *weight
        ptrdiff_t n
    ctypedef struct nn_compilation:
        const nn_loss *loss
        cbool from_logits
        const nn_rule *rule
        float *slots[NN_MAX_SLOTS]
        float initial[NN_MAX_SLOTS]
        const nn_metric *metrics[NN_MAX_METRICS]
        ptrdiff_t metrics_count
    ctypedef int (*nn_poll)(void *, int64_t) noexcept
    nn_net *nn_net_new(const nn_kernels *, const nn_op *, int, ptrdiff_t)
    void nn_net_free(nn_net *)
    void nn_net_compile(nn_net *, const nn_compilation *)
    void nn_set_num_threads(int)
    int nn_num_threads()
    nn_status nn_predict(const nn_net *, float *, const nn_data *, nn_poll, void *)

cdef extern from "plan.h" nogil:
    enum: NN_PARALLEL, NN_PATHS
    ctypedef struct nn_plan:
        pass
    ctypedef struct nn_path:
        const char *name
        const char *what
    const nn_path nn_paths[]
    cbool nn_set_paths(const char *)
    size_t nn_plan_explain(const nn_plan *, char *, size_t)

cdef extern from "run.h" nogil:
    ctypedef struct nn_tuner:
        double *ns_per_row
    ctypedef struct nn_run:
        nn_data data
        nn_plan *plans
        nn_tuner tuner
    ctypedef struct nn_purpose:
        cbool train, keeps_outputs
        ptrdiff_t batch_size
    ctypedef struct nn_steps:
        const uint32_t *order
        ptrdiff_t start, stop
        const double *hyper
        const double *rates
        double *totals
        float *outputs
        nn_poll poll
        void *context
    nn_run *nn_run_new()
    void nn_run_free(nn_run *)
    nn_status nn_run_prepare(nn_run *, nn_net *, const nn_data *, nn_purpose)
    nn_status nn_run_plan_again(nn_run *)
    nn_status nn_run_step(nn_run *, const nn_steps *, int64_t *)

cdef extern from "memory.h" nogil:
    void *nn_alloc(size_t)
    void nn_free(void *)

cdef extern from "check.h" nogil:
    ptrdiff_t nn_first_not_finite(const float *, ptrdiff_t)
    ptrdiff_t nn_first_label_outside(const int32_t *, ptrdiff_t, ptrdiff_t)
    ptrdiff_t nn_first_row_outside(const uint32_t *, ptrdiff_t, ptrdiff_t)
    ptrdiff_t nn_first_row_disordered(const int64_t *, const int32_t *, ptrdiff_t, ptrdiff_t)

cdef extern from "random.h" nogil:
    void nn_random_uniform(double *, ptrdiff_t, uint64_t, uint64_t)
    void nn_random_normal(double *, ptrdiff_t, uint64_t, uint64_t)
    void nn_random_truncated_normal(double *, ptrdiff_t, uint64_t, uint64_t)
    void nn_random_shuffle(uint32_t *, ptrdiff_t, uint64_t, uint64_t)

cdef extern from *:
    """
    #if defined(__clang__)
    #define NN_COMPILER "clang " __clang_version__
    #else
    #define NN_COMPILER "gcc " __VERSION__
    #endif
    #if defined(__SANITIZE_ADDRESS__)
    #define NN_BUILD "sanitized"
    #else
    #define NN_BUILD "release"
    #endif
    """
    const char *NN_COMPILER
    const char *NN_BUILD
