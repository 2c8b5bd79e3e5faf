/* See pool.h. */

#define _GNU_SOURCE /* pthread_sigmask, pthread_atfork */

#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

/* Turns of the spin loop before a worker sleeps (some 50 us: longer than Python takes between two epochs), before a barrier yields its core to
 * whoever may be holding up the others, and before it begins to pause between two looks: a pause is as long as the trip that is waited for. */
#define SPIN_SLEEP 4000
#define SPIN_YIELD 2000
#define SPIN_EAGER 100

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int workers;            /* threads made, besides the caller */
    atomic_bool busy;       /* a task is running */
    atomic_uint generation; /* counts tasks, modulo 2^24; workers wait for it to change */
    atomic_int running;     /* workers that have not finished the current task */
    int threads;            /* of the current task */
    nn_task task;
    void *context;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void *work(void *argument) {
    const int thread = (int)((uintptr_t)argument % (NN_MAX_THREADS + 1));
    unsigned seen = (unsigned)((uintptr_t)argument / (NN_MAX_THREADS + 1)); /* the tasks before this worker's time */
    for (;;) {
        int spins = 0;
        while (atomic_load_explicit(&pool.generation, memory_order_acquire) == seen) {
            if (++spins < SPIN_SLEEP) {
                RELAX();
                continue;
            }
            pthread_mutex_lock(&pool.lock);
            while (atomic_load(&pool.generation) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
            pthread_mutex_unlock(&pool.lock);
        }
        seen = atomic_load_explicit(&pool.generation, memory_order_acquire);
        if (thread < pool.threads) pool.task(pool.context, thread, pool.threads);
        atomic_fetch_sub_explicit(&pool.running, 1, memory_order_release);
    }
    return NULL;
}

/* A child has the forking thread only: it starts without workers. What they were doing is lost with them, and belonged to the parent. */
static void forget_workers(void) {
    pool.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pool.wake = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    pool.workers = 0;
    atomic_store(&pool.busy, false);
    atomic_store(&pool.generation, 0);
    atomic_store(&pool.running, 0);
}

/* Makes workers up to `wanted`; fewer if the system refuses. Called by the one who holds `busy`. */
static void hire(int wanted) {
    static bool registered;
    if (!registered) registered = pthread_atfork(NULL, NULL, forget_workers) == 0;
    if (!registered) return;
    sigset_t all, before; /* signals are the program's business: workers take none */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.workers < wanted) {
        pthread_t id;
        const uintptr_t thread = (uintptr_t)pool.workers + 1, seen = atomic_load(&pool.generation) % 0x1000000u;
        if (pthread_create(&id, NULL, work, (void *)(seen * (NN_MAX_THREADS + 1) + thread)) != 0) break;
        pthread_detach(id);
        pool.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void nn_pool_run(nn_task task, void *context, int threads) {
    bool idle = false;
    if (threads > NN_MAX_THREADS) threads = NN_MAX_THREADS;
    if (threads < 2 || !atomic_compare_exchange_strong(&pool.busy, &idle, true)) {
        task(context, 0, 1);
        return;
    }
    hire(threads - 1);
    pool.task = task;
    pool.context = context;
    pool.threads = threads < pool.workers + 1 ? threads : pool.workers + 1;
    const int used = pool.threads;
    atomic_store(&pool.running, pool.workers);
    pthread_mutex_lock(&pool.lock);
    atomic_store_explicit(&pool.generation, (atomic_load(&pool.generation) + 1) % 0x1000000u, memory_order_release);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
    task(context, 0, used);
    int spins = 0;
    while (atomic_load_explicit(&pool.running, memory_order_acquire) != 0) {
        if (++spins % SPIN_YIELD == 0) sched_yield();
        RELAX();
    }
    atomic_store(&pool.busy, false);
}

void nn_barrier_zero(nn_barrier *barrier, int threads) {
    for (int i = 0; i < threads; i++) atomic_store_explicit(&barrier->of[i].round, 0, memory_order_relaxed);
}

void nn_barrier_wait(nn_barrier *barrier, int thread, int threads) {
    if (threads == 1) return;
    const unsigned round = atomic_load_explicit(&barrier->of[thread].round, memory_order_relaxed) + 1;
    atomic_store_explicit(&barrier->of[thread].round, round, memory_order_release);
    for (int i = 0; i < threads; i++) {
        int spins = 0;
        /* someone may have come to the next round already: its number is ahead, modulo 2^32 */
        while ((int)(atomic_load_explicit(&barrier->of[i].round, memory_order_acquire) - round) < 0) {
            if (++spins % SPIN_YIELD == 0) sched_yield();
            if (spins > SPIN_EAGER) RELAX();
        }
    }
}
