/* See pool.h. */

#define _GNU_SOURCE /* pthread_sigmask, pthread_atfork, affinity */

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

#if defined(__linux__)
typedef cpu_set_t nn_cpus;
#else
typedef char nn_cpus; /* nothing is known about them */
#endif

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
    /* changed by who has the lock: */
    pthread_t ids[NN_MAX_THREADS]; /* of worker i + 1 */
    bool asleep[NN_MAX_THREADS];
    int sleepers;
    nn_cpus allowed; /* where the last caller might run, and so its workers */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

/* Who wakes a thread is expected to sleep soon: Linux may put the one that wakes up behind it, on the same processor, where it waits for milliseconds
 * while the next processor idles. So workers that sleep are sent to any processor but their caller's, and may move again once they are awake. Both
 * with the lock held. */
#if defined(__linux__)
static void send_away(void) {
    const int here = sched_getcpu();
    if (here < 0 || sched_getaffinity(0, sizeof pool.allowed, &pool.allowed) != 0) CPU_ZERO(&pool.allowed);
    nn_cpus elsewhere = pool.allowed;
    if (here >= 0 && here < CPU_SETSIZE) CPU_CLR(here, &elsewhere);
    for (int i = 0; i < pool.workers && CPU_COUNT(&elsewhere) > 0; i++) {
        if (pool.asleep[i]) pthread_setaffinity_np(pool.ids[i], sizeof elsewhere, &elsewhere);
    }
}
static void come_back(void) {
    if (CPU_COUNT(&pool.allowed) > 0) pthread_setaffinity_np(pthread_self(), sizeof pool.allowed, &pool.allowed);
}
#else
static void send_away(void) {}
static void come_back(void) {}
#endif

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
            if (atomic_load(&pool.generation) == seen) {
                pool.asleep[thread - 1] = true;
                pool.sleepers++;
                while (atomic_load(&pool.generation) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
                pool.asleep[thread - 1] = false;
                pool.sleepers--;
                come_back();
            }
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
    pool.workers = pool.sleepers = 0;
    for (int i = 0; i < NN_MAX_THREADS; i++) pool.asleep[i] = false;
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
        const uintptr_t thread = (uintptr_t)pool.workers + 1, seen = atomic_load(&pool.generation) % 0x1000000u;
        if (pthread_create(&pool.ids[pool.workers], NULL, work, (void *)(seen * (NN_MAX_THREADS + 1) + thread)) != 0) break;
        pthread_detach(pool.ids[pool.workers]);
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
    if (pool.sleepers > 0) send_away();
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
